package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/worker"
	"github.com/tidemill/tidemill/worker/metrics"
)

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The guide has a line for each metric, word for word, and names none that there is not.
func TestGuideListsTheMetrics(t *testing.T) {
	text, known := guide(t), map[string]bool{}
	for _, m := range metrics.Metrics() {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "` "
		}
		line := "\n| `" + m.Name + "` | " + m.Type + " | " + labels + "| " + m.Help + " |\n"
		if !strings.Contains(text, line) {
			t.Errorf("docs/monitoring.md lacks the line%s", line)
		}
		known[m.Name] = true
		if m.Type == "histogram" {
			known[m.Name+"_bucket"] = true
		}
	}
	for _, name := range regexp.MustCompile(`\btidemill_[a-z_]+`).FindAllString(text, -1) {
		if !known[name] && !strings.HasPrefix(name, "tidemill_pubsub_") { // those are package pubsub/metrics's
			t.Errorf("docs/monitoring.md tells of %s, which is no metric", name)
		}
	}
}

// It knows every outcome.
func TestGuideListsTheOutcomes(t *testing.T) {
	_, rest, _ := strings.Cut(guide(t), "\nOutcomes are ")
	paragraph, _, _ := strings.Cut(rest, "\n\n")
	for _, outcome := range worker.Outcomes() {
		if !strings.Contains(paragraph, "`"+outcome+"`") {
			t.Errorf("docs/monitoring.md does not tell of the outcome %s", outcome)
		}
	}
}
