// Crosstypes type-checks all packages of a module and all that they import, from source, as other systems would compile
// them: crosstypes DIR GOOS/GOARCH... Every error is printed; the exit code is 1 where there is one. Where nothing is
// cached a build for another system finds the same errors at many times the cost.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: crosstypes DIR GOOS/GOARCH...")
		os.Exit(2)
	}
	failed := false
	for _, system := range os.Args[2:] {
		errors, err := check(os.Args[1], system)
		if err != nil {
			errors = append(errors, err)
		}
		for _, err := range errors {
			fmt.Fprintf(os.Stderr, "%s: %v\n", system, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check answers what is wrong with the packages in dir on one system.
func check(dir, system string) (errors []error, err error) {
	goos, goarch, _ := strings.Cut(system, "/")
	config := &packages.Config{
		Mode: packages.LoadAllSyntax,
		Dir:  dir,
		Env:  append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
	}
	found, err := packages.Load(config, "./...")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no packages in %s", dir)
	}
	packages.Visit(found, nil, func(p *packages.Package) {
		for _, err := range p.Errors {
			errors = append(errors, err)
		}
		if p.Types == nil && len(p.Errors) == 0 {
			errors = append(errors, fmt.Errorf("%s was not type-checked", p.ID))
		}
	})
	return errors, nil
}
