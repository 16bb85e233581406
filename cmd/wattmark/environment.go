package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

// unsetEmpty makes a variable that is set to nothing, as templates of containers do, the same as one that is not set.
func unsetEmpty() {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WATTMARK_") && value == "" {
			_ = os.Unsetenv(name)
		}
	}
}

// namingVariables adds to a usage error the environment variables that the flags in its text have their values from.
// Kong does so itself for a value that it cannot read, but not for one that is none of those allowed.
func namingVariables(err error) error {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok || strings.Contains(err.Error(), " envar ") {
		return err
	}
	given := map[string]bool{} // on the command line: the flag wins
	for _, path := range parse.Context.Path {
		if path.Flag != nil {
			given[path.Flag.Name] = true
		}
	}
	for _, flag := range parse.Context.Flags() {
		named := regexp.MustCompile(`(^|\W)--` + regexp.QuoteMeta(flag.Name) + `([^\w-]|$)`)
		if given[flag.Name] || !named.MatchString(err.Error()) {
			continue
		}
		for _, variable := range flag.Envs {
			if value, set := os.LookupEnv(variable); set {
				err = fmt.Errorf("%w (from envar %s=%q)", err, variable, value)
			}
		}
	}
	return err
}
