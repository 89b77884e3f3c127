# Completion of `trickle` in fish. Keep this where fish finds it:
#   trickle completion fish > ~/.config/fish/completions/trickle.fish

function __trickle_complete
    # With what is set for it in front, as in TRICKLE_SERVER=URL trickle sub: env knows.
    set -l words (string replace -r '^~(?=/)' -- "$HOME" (commandline -opc))
    set -l last (commandline -ct)
    set -l answer (env _TRICKLE_COMPLETE=fish $words "$last" 2>/dev/null)
    set -l option (string match -r -- '^--[^=]*=' "$last")
    set -l path (string replace -r -- '^--[^=]*=' '' "$last")
    switch "$answer[1]"
        case files
            for found in (__fish_complete_path "$path")
                echo -- "$option$found"
            end
        case directories
            for found in (__fish_complete_directories "$path" '')
                echo -- "$option$found"
            end
        case '*'
            set -e answer[1]
            string join -- \n $answer
    end
end

complete -c trickle -f -a '(__trickle_complete)'
