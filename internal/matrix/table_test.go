package matrix

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testsIn lists the tests of a package's folder.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// Every test that the package comment names exists, every test here is named there, and no row is empty.
func TestTable(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(source), "# Failure matrix")
	matrix, pitfalls, _ := strings.Cut(tables, "# Pitfalls")
	row := regexp.MustCompile(`(?m)^//\t(\S.*?) \.+ Test|^//\t(\S.*?) \.+ [a-z/]+\.Test`)
	if n := len(row.FindAllString(matrix, -1)); n != 17 {
		t.Errorf("the matrix has %d rows of 17", n)
	}
	for _, number := range []string{"11", "12", "13", "14", "15", "16", "18"} {
		if !strings.Contains(pitfalls, "//\t"+number+" ") {
			t.Errorf("pitfall %s has no row", number)
		}
	}
	here := testsIn(t, ".")
	known, named := map[string][]string{"": here}, []string{"TestMain", "TestTable"}
	for _, m := range regexp.MustCompile(`([a-z/]+\.)?(Test[A-Z]\w*)`).FindAllStringSubmatch(tables, -1) {
		pkg := strings.TrimSuffix(m[1], ".")
		if known[pkg] == nil {
			known[pkg] = testsIn(t, filepath.Join("..", "..", pkg))
		}
		if !slices.Contains(known[pkg], m[2]) {
			t.Errorf("there is no %s", m[0])
		}
		if pkg == "" {
			named = append(named, m[2])
		}
	}
	for _, name := range here {
		if !slices.Contains(named, name) {
			t.Errorf("%s stands in no row", name)
		}
	}
}
