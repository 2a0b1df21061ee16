package pitfalls

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of the package's comment names tests that there are, for each pitfall one of its own, and all of these.
func TestTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(file.Doc.Text(), "\n\n\t") // the text before it names none
	own := make(map[string]bool)
	for name := range testsOf(t, ".") {
		if strings.HasPrefix(name, "TestPitfall") {
			own[name] = true
		}
	}
	named := regexp.MustCompile(`(?:([a-z/]+)\.)?(Test\w+)`).FindAllStringSubmatch(table, -1)
	for _, m := range named {
		dir, name := ".", m[2]
		if m[1] != "" {
			dir = filepath.Join("../..", m[1])
		}
		if !testsOf(t, dir)[name] {
			t.Errorf("there is no %s", m[0])
		}
		delete(own, name)
	}
	for name := range own {
		t.Errorf("%s is not in the table", name)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17} {
		if line := fmt.Sprintf(`(?m)^\t?\s*%d .*\bTestPitfall%02d`, n, n); !regexp.MustCompile(line).MatchString(table) {
			t.Errorf("pitfall %d has no test of its own", n)
		}
	}
	if len(named) < 20 {
		t.Errorf("%d tests were found in the table:\n%s", len(named), table)
	}
}

var testsIn = make(map[string]map[string]bool)

// testsOf are the names of a folder's tests.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	if testsIn[dir] != nil {
		return testsIn[dir]
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	testsIn[dir] = names
	return names
}
