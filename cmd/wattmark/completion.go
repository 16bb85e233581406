package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints what a shell needs to complete commands, flags and their values. The scripts are whole, so that
// a package can install them: they neither run the program nor name its path.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown below the flags.
func (completionCmd) Help() string {
	return `bash: source <(wattmark completion bash), or into /usr/share/bash-completion/completions/wattmark

zsh: into a file _wattmark in a folder of $fpath

fish: into ~/.config/fish/completions/wattmark.fish`
}

// Run prints the script.
func (c completionCmd) Run(app *kong.Kong, std streams) error {
	write := map[string]func(io.Writer, *kong.Application){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	var script bytes.Buffer
	write(&script, app.Model)
	_, err := script.WriteTo(std.out)
	return err
}

// shown returns the commands that help shows.
func shown(app *kong.Application) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(app.Children), func(n *kong.Node) bool { return n.Hidden })
}

// flagsOf returns the flags of a command, with those of every command first.
func flagsOf(node *kong.Node) []*kong.Flag {
	var flags []*kong.Flag
	for _, group := range node.AllFlags(true) {
		flags = append(flags, group...)
	}
	return flags
}

// spellings are how a flag may be written, without its value.
func spellings(f *kong.Flag) []string {
	all := []string{"--" + f.Name}
	if f.Tag.Negatable != "" {
		all = append(all, "--no-"+f.Name)
	}
	if f.Short != 0 {
		all = append(all, "-"+string(f.Short))
	}
	return all
}

// choices are the words that a value may be; none: anything.
func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

// isPath says whether a value is the path of a file or folder.
func isPath(v *kong.Value) bool { return slices.Contains([]string{"FILE", "DIR"}, v.Tag.PlaceHolder) }

func takesValue(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// bashCompletion needs no more than bash itself.
func bashCompletion(w io.Writer, app *kong.Application) {
	var names []string
	for _, node := range shown(app) {
		names = append(names, node.Name)
	}
	fmt.Fprintf(w, `# bash completion for %[1]s
_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' flags='' words='' word
	COMPREPLY=()
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [[ $word == -- ]]; then # what %[1]s run runs
			compopt -o default
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
			return
		fi
		[[ -n $command || $word == -* ]] || command=$word
	done
	# Of --flag=value bash makes three words.
	if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
	case $command in
	'') words='%[2]s' flags='--help --version' ;;
`, app.Name, strings.Join(names, " "))
	for _, node := range shown(app) {
		var flags, cases []string
		for _, f := range flagsOf(node) {
			flags = append(flags, spellings(f)...)
			switch {
			case !takesValue(f):
			case len(choices(f.Value)) > 0:
				cases = append(cases, fmt.Sprintf("--%s) words='%s' flags= ;;", f.Name, strings.Join(choices(f.Value), " ")))
			case isPath(f.Value):
				cases = append(cases, fmt.Sprintf("--%s) compopt -o default; return ;;", f.Name))
			default:
				cases = append(cases, fmt.Sprintf("--%s) return ;;", f.Name))
			}
		}
		var words []string
		for _, arg := range node.Positional {
			words = append(words, choices(arg)...)
		}
		fmt.Fprintf(w, "\t%s)\n\t\twords='%s' flags='%s'\n", node.Name, strings.Join(words, " "), strings.Join(flags, " "))
		if len(cases) > 0 {
			fmt.Fprintf(w, "\t\tcase $prev in\n\t\t%s\n\t\tesac\n", strings.Join(cases, "\n\t\t"))
		}
		fmt.Fprintln(w, "\t\t;;")
	}
	fmt.Fprintf(w, `	esac
	[[ $cur != -* ]] || words=
	mapfile -t COMPREPLY < <(compgen -W "$words $flags" -- "$cur")
}
complete -F _%[1]s %[1]s
`, app.Name)
}
