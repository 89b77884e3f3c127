# Completion of `trickle` in fish. Keep this where fish finds it:
#   trickle completion fish > ~/.config/fish/completions/trickle.fish

function __trickle_complete
    set -l words (commandline -opc)
    set -l command (string replace -r '^~(?=/)' -- "$HOME" $words[1])
    set -e words[1]
    set -l last (commandline -ct)
    set -l answer (env _TRICKLE_COMPLETE=fish $command $words "$last" 2>/dev/null)
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
