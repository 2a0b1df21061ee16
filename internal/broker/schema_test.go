package broker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/brokertest"
	"github.com/tidemill/tidemill/internal/redistest"
)

// row is one line of the key table in doc.go.
type row struct {
	text    string
	pattern *regexp.Regexp
	kind    string
	seen    bool
}

// schema reads the key table of doc.go for the namespace "ns".
func schema(t *testing.T) []*row {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var rows []*row
	for _, m := range regexp.MustCompile(`(?m)^//\t(tm:\S+)\s+(HASH|LIST|ZSET|SET)\s`).FindAllStringSubmatch(string(source), -1) {
		pattern := regexp.QuoteMeta(strings.Replace(m[1], "tm:", "ns:", 1))
		for from, to := range map[string]string{`\{q\}`: `\{[^{}]+\}`, `<0-9>`: `[0-9]`, `<session>`: `[^{}]+`, `<instance>`: `[^{}]+`} {
			pattern = strings.ReplaceAll(pattern, from, to)
		}
		rows = append(rows, &row{text: m[1], pattern: regexp.MustCompile("^" + pattern + "$"), kind: strings.ToLower(m[2])})
	}
	if len(rows) < 15 {
		t.Fatalf("doc.go has a table of %d rows", len(rows))
	}
	return rows
}

func TestKeySchema(t *testing.T) {
	rows := schema(t)
	rdb := redistest.Embedded(t)
	brokertest.Tour(t, rdb, "ns", func() {
		names, err := rdb.Keys(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			kind := rdb.Type(t.Context(), name).Val()
			known := false
			for _, r := range rows {
				if r.pattern.MatchString(name) {
					known, r.seen = true, true
					if kind != r.kind {
						t.Errorf("%s is a %s, doc.go says %s", name, kind, r.kind)
					}
				}
			}
			if !known {
				t.Errorf("%s (%s) is in no row of doc.go", name, kind)
			}
		}
	})
	for _, r := range rows {
		if !r.seen {
			t.Errorf("no transition wrote %s", r.text)
		}
	}
}
