package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/internal/wire"
)

// TestMain lets the test binary stand in for the program as a child process.
func TestMain(m *testing.M) {
	if rig.IsChild(os.Args) {
		os.Exit(rig.ChildMain(context.Background(), os.Args, steps))
	}
	os.Exit(m.Run())
}

func TestParseFlagsReportsEveryFault(t *testing.T) {
	_, err := parseFlags([]string{"-measures", "live,live,bogus", "-live", "1", "-subs", "0", "-runs", "0", "more"}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"twice", `"bogus"`, "-live: 1 ", "-subs: 0 ", "-runs: 0 ", `"more"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// commandArgs are the arguments of the one command in data.
func commandArgs(t *testing.T, data []byte) []string {
	t.Helper()
	var args []string
	lines := bytes.SplitAfter(data, []byte("\r\n"))
	if string(lines[0]) != "*3\r\n" {
		t.Fatalf("%q is no command of three", data)
	}
	rest := data[len(lines[0]):]
	for len(rest) > 0 {
		head, behind, _ := bytes.Cut(rest, []byte("\r\n"))
		n := 0
		for _, c := range head[1:] {
			n = 10*n + int(c-'0')
		}
		if head[0] != '$' || len(behind) < n+2 || string(behind[n:n+2]) != "\r\n" {
			t.Fatalf("%q is not as long as it says", rest)
		}
		args, rest = append(args, string(behind[:n])), behind[n+2:]
	}
	return args
}

func TestCommandsHoldNumberedPayloads(t *testing.T) {
	for _, envelope := range []bool{false, true} {
		for _, i := range []int{0, 7, 123_456} {
			args := commandArgs(t, newMessages(envelope).appendCommand(nil, i))
			if len(args) != 3 || args[0] != "PUBLISH" || args[1] != topic {
				t.Fatalf("the command is %q", args)
			}
			m := wire.DecodeMessage([]byte(args[2]))
			if ours := m.Time != 0; ours != envelope {
				t.Errorf("envelope %v: the message has the time %d", envelope, m.Time)
			}
			var p rig.Payload
			if err := json.Unmarshal(m.Data, &p); err != nil || p.UserID != int64(i) {
				t.Errorf("message %d has the data %s: %v", i, m.Data, err)
			}
		}
	}
}

// TestPublisherFollows: a publisher waits for what the subscriber says, and learns of its end.
func TestPublisherFollows(t *testing.T) {
	r, w := io.Pipe()
	f := followProgress(r)
	said := progress{w}
	for _, n := range []int{0, 500} {
		go func() { _ = said.at(n) }()
		if !f.await(n) {
			t.Fatalf("the end came before %d", n)
		}
	}
	if got := f.at.Load(); got != 500 {
		t.Errorf("the subscriber is at %d, want 500", got)
	}
	_ = w.Close()
	if f.await(501) {
		t.Error("it awaited more than was handled")
	}
	f.end()
}

func TestEachMessageMustReachOneConnection(t *testing.T) {
	for answers, want := range map[string]string{":1\r\n:1\r\n": "", ":1\r\n:2\r\n": "message 1", ":1\r\n": "EOF"} {
		server, client := net.Pipe()
		go func() {
			_, _ = server.Write([]byte(answers))
			_ = server.Close()
		}()
		err := readAnswers(client, 2)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answers, err, want)
		}
	}
}

func TestMissingPythonIsARemark(t *testing.T) {
	cfg, err := parseFlags([]string{"-measures", "live", "-python", "/no/such/python"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.plan(t.Context())
	if len(p.Remarks) != 1 || !strings.Contains(p.Remarks[0], "/no/such/python") {
		t.Errorf("the remarks are %q", p.Remarks)
	}
	if got := p.Measures[0].Columns; slices.Contains(got, "python") {
		t.Errorf("the columns are %q", got)
	}
}

// TestEveryMeasure runs the program, small.
func TestEveryMeasure(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on PATH")
	}
	if testing.Short() {
		t.Skip("takes some ten seconds")
	}
	var stdout, stderr bytes.Buffer
	args := strings.Fields("-live 5000 -durable 500 -fanout 20 -subs 100 -slow 1000 -samples 20 -runs 1 -json")
	if code := parentMain(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr.String())
	}
	var rep rig.Report
	if err := json.Unmarshal(stdout.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	cfg, err := parseFlags(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range cfg.plan(t.Context()).Measures {
		for _, column := range m.Columns {
			if !slices.ContainsFunc(rep.Summary, func(r rig.Row) bool { return r.Measure == m.Name && r.Systems[column].Runs == 1 }) {
				t.Errorf("no figure of %s for %s", m.Name, column)
			}
		}
	}
}
