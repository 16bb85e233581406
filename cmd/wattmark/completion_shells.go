package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// zshCompletion is a file _wattmark for $fpath.
func zshCompletion(w io.Writer, app *kong.Application) {
	quote := strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`)
	fmt.Fprintf(w, "#compdef %[1]s\n_%[1]s() {\n\tlocal line state\n\t_arguments -C '(-)--help[Show help.]' '(-)--version[Print the version and exit.]' '1:command:->command' '*::argument:->argument'\n", app.Name)
	fmt.Fprint(w, "\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n")
	for _, node := range shown(app) {
		fmt.Fprintf(w, "\t\t\t'%s:%s'\n", node.Name, quote.Replace(node.Help))
	}
	fmt.Fprint(w, "\t\t)\n\t\t_describe command commands\n\t\t;;\n\targument)\n\t\tcase $line[1] in\n")
	for _, node := range shown(app) {
		fmt.Fprintf(w, "\t\t%s)\n\t\t\t_arguments -S", node.Name)
		for _, f := range flagsOf(node) {
			repeat := ""
			if f.IsSlice() {
				repeat = "*"
			}
			for _, spelling := range spellings(f) {
				fmt.Fprintf(w, " \\\n\t\t\t\t'%s%s", repeat, spelling)
				if takesValue(f) {
					fmt.Fprintf(w, "=[%s]:%s:%s'", quote.Replace(f.Help), quote.Replace(strings.ToLower(f.FormatPlaceHolder())), zshAction(f.Value))
				} else {
					fmt.Fprintf(w, "[%s]'", quote.Replace(f.Help))
				}
			}
		}
		for _, arg := range node.Positional {
			if arg.PassthroughMode != kong.PassThroughModeNone {
				fmt.Fprint(w, " \\\n\t\t\t\t'*:::command:_normal'")
			} else {
				fmt.Fprintf(w, " \\\n\t\t\t\t':%s:%s'", arg.Name, zshAction(arg))
			}
		}
		fmt.Fprintln(w, "\n\t\t\t;;")
	}
	fmt.Fprintf(w, "\t\tesac\n\t\t;;\n\tesac\n}\nif [ \"$funcstack[1]\" = _%[1]s ]; then _%[1]s \"$@\"; else compdef _%[1]s %[1]s; fi\n", app.Name)
}

func zshAction(v *kong.Value) string {
	switch {
	case len(choices(v)) > 0:
		return "(" + strings.Join(choices(v), " ") + ")"
	case isPath(v):
		return "_files"
	default:
		return ""
	}
}

// fishCompletion is a file wattmark.fish.
func fishCompletion(w io.Writer, app *kong.Application) {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	fmt.Fprintf(w, "complete -c %s -f\n", app.Name)
	fmt.Fprintf(w, "complete -c %s -n __fish_use_subcommand -l version -d 'Print the version and exit.'\n", app.Name)
	for _, node := range shown(app) {
		fmt.Fprintf(w, "complete -c %s -n __fish_use_subcommand -a %s -d '%s'\n", app.Name, node.Name, quote.Replace(node.Help))
		within := fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s'", app.Name, node.Name)
		for _, f := range flagsOf(node) {
			line := within + " -l " + f.Name
			if f.Short != 0 {
				line += " -s " + string(f.Short)
			}
			switch {
			case !takesValue(f):
			case len(choices(f.Value)) > 0:
				line += fmt.Sprintf(" -x -a '%s'", strings.Join(choices(f.Value), " "))
			case isPath(f.Value):
				line += " -r -F"
			default:
				line += " -x"
			}
			fmt.Fprintf(w, "%s -d '%s'\n", line, quote.Replace(f.Help))
			if f.Tag.Negatable != "" {
				fmt.Fprintf(w, "%s -l no-%s\n", within, f.Name)
			}
		}
		for _, arg := range node.Positional {
			if words := choices(arg); len(words) > 0 {
				fmt.Fprintf(w, "%s -a '%s'\n", within, strings.Join(words, " "))
			} else if arg.PassthroughMode != kong.PassThroughModeNone {
				fmt.Fprintf(w, "%s -a '(__fish_complete_subcommand --fcs-skip=2)'\n", within)
			}
		}
	}
}
