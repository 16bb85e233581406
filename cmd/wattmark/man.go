package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints wattmark(1), made from the same model as --help, so that it cannot be out of date.
type manCmd struct{}

// Run prints the page in mdoc.
func (manCmd) Run(app *kong.Kong, std streams) error {
	var page bytes.Buffer
	manPage(&page, app.Model)
	_, err := page.WriteTo(std.out)
	return err
}

func manPage(w io.Writer, app *kong.Application) {
	what, _, _ := strings.Cut(app.Help, "\n")
	fmt.Fprintf(w, `.Dd $Mdocdate$
.Dt WATTMARK 1
.Os
.Sh NAME
.Nm %[1]s
.Nd %[2]s
.Sh SYNOPSIS
.Nm
.Ar command
.Op Ar flags
.Sh DESCRIPTION
The daemon,
.Nm
.Cm serve ,
reads the power and the energy counters of the GPUs once a second.
Two marks, over HTTP or by the commands
.Cm mark-start
and
.Cm mark-end ,
bound the phase to be measured.
The second answers with the energy between them, its error bound and a verdict, and writes joules per token into the
benchmark's result.
.Pp
Data goes to standard output, words to standard error.
Each flag is also an environment variable; the flag wins.
`, app.Name, roff(strings.TrimSuffix(what, ".")))
	for _, node := range shown(app) {
		fmt.Fprintf(w, ".Ss %s %s\n%s\n", app.Name, roff(node.Name), sentences(node.Help))
		if node.Detail != "" {
			fmt.Fprintf(w, ".Bd -literal\n%s\n.Ed\n", roff(node.Detail))
		}
		fmt.Fprintln(w, ".Bl -tag -width Ds")
		for _, arg := range node.Positional {
			fmt.Fprintf(w, ".It Ar %s\n%s\n", roff(arg.Name), sentences(arg.Help))
		}
		for _, f := range flagsOf(node) {
			manFlag(w, f)
		}
		fmt.Fprintln(w, ".El")
	}
	fmt.Fprintf(w, `.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Done.
.It 1
Failed.
.It 2
Wrong usage.
.It 130 , 143
Ended by SIGINT or SIGTERM.
.Cm serve
exits 0 on both.
.El
.Pp
.Cm run
exits as its command does.
.Sh EXAMPLES
.Bd -literal
%[1]s serve &
%[1]s ready
%[1]s mark-start --run r1
vllm bench serve ... --save-result --result-filename r1.json
%[1]s mark-end --run r1 --benchmark-result r1.json
.Ed
`, app.Name)
}

func manFlag(w io.Writer, f *kong.Flag) {
	short := ""
	if f.Short != 0 {
		short = fmt.Sprintf("Fl %c , ", f.Short)
	}
	fmt.Fprintf(w, ".It %sFl -%s", short, roff(f.Name))
	if takesValue(f) {
		fmt.Fprintf(w, " Ns = Ns Ar %s", roff(strings.Trim(f.FormatPlaceHolder(), `"`)))
	}
	fmt.Fprintf(w, "\n%s\n", sentences(f.Help))
	if f.HasDefault && takesValue(f) && f.Default != "" {
		fmt.Fprintf(w, "Default:\n.Cm %s .\n", roff(f.Default))
	}
	for _, variable := range f.Envs {
		fmt.Fprintf(w, "Variable:\n.Ev %s .\n", roff(variable))
	}
}

// roff makes text safe: a backslash, and a dot or an apostrophe at the start of a line, have a meaning there.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "\n.", "\n\\&.", "\n'", "\n\\&'", "–", `\(en`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// sentences begins each on a line of its own, as manual pages do.
func sentences(text string) string {
	return roff(strings.NewReplacer("e.g. ", "e.g. ", ". ", ".\n").Replace(text))
}
