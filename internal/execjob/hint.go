package execjob

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// hint guesses what was meant by a program that is not there, "" for no guess: a file beside the configuration, or a
// program with its arguments in one text.
func hint(command []string, dir string) string {
	name := command[0]
	if beside(name, dir) {
		return "; did you mean " + quoted("./"+name) + "?"
	}
	words := strings.Fields(name)
	if len(words) < 2 {
		return ""
	}
	if strings.ContainsAny(name, "|&;<>$`*\"'") {
		return fmt.Sprintf("; no shell reads it, for one write [sh, -c, %q]", name)
	}
	if beside(words[0], dir) {
		words[0] = "./" + words[0]
	}
	for i, word := range words {
		words[i] = quoted(word)
	}
	if len(command) > 1 {
		words = append(words, "...")
	}
	return fmt.Sprintf("; the program and each argument stand alone: write [%s]", strings.Join(words, ", "))
}

// beside tells a bare name of a file in the folder.
func beside(name, dir string) bool {
	if filepath.Base(name) != name {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular()
}

// quoted is a word as a list in worker.yaml holds it.
func quoted(word string) string {
	if strings.ContainsAny(word, " ,[]{}#:&*!|>'\"%@`") || strings.HasPrefix(word, "?") {
		return fmt.Sprintf("%q", word)
	}
	return word
}
