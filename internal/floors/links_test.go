package floors

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link is a Markdown link's target.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows the links of all documents within the repository. One with a fragment into a Go file names a function
// there: docs/guarantees.md rests on it.
func TestLinks(t *testing.T) {
	const root = "../.."
	documents := markdown(t, root)
	if len(documents) < 10 {
		t.Fatalf("only %d documents found", len(documents))
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(withoutCode(string(text)), -1) {
			if fault := follow(document, found[1]); fault != "" {
				t.Errorf("%s: the link to %s: %s", document, found[1], fault)
			}
		}
	}
}

// markdown lists the documents below root.
func markdown(t *testing.T, root string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") && path != root {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// withoutCode leaves out what is fenced: there a bracket is no link.
func withoutCode(text string) string {
	var kept []string
	for i, part := range strings.Split(text, "\n```") {
		if i%2 == 0 {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n")
}

// follow says what is wrong with a link, or nothing.
func follow(document, target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Path == "" {
		return ""
	}
	path := filepath.Join(filepath.Dir(document), u.Path)
	if _, err := os.Stat(path); err != nil {
		return "there is no such file"
	}
	if u.Fragment == "" || !strings.HasSuffix(path, ".go") {
		return ""
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if !strings.Contains(string(source), "\nfunc "+u.Fragment+"(") {
		return "there is no such function"
	}
	return ""
}

func TestLinkFaults(t *testing.T) {
	for target, want := range map[string]string{
		"https://example.com/nothing": "", "#section": "", "links_test.go#TestLinks": "", "../../README.md#license": "",
		"gone.md": "there is no such file", "links_test.go#TestGone": "there is no such function", "%zz": `parse "%zz": invalid URL escape "%zz"`,
	} {
		if got := follow("floors_test.go", target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
