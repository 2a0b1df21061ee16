package conn

import (
	"testing"
)

func TestLine(t *testing.T) {
	srv := startRedis(t)
	set, err := Open(t.Context(), "redis://"+srv, Config{MaxConnections: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	line, err := set.Line("beat")
	if err != nil {
		t.Fatal(err)
	}
	old := line.Client()
	if err := old.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for range 5 { // each gives its share of a budget of 4 back
		if err := line.Renew(); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Ping(t.Context()).Err(); !Closed(err) {
		t.Errorf("the replaced client answers %v", err)
	}
	if err := line.Client().Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	line.Close()
	line.Close()
	if err := line.Renew(); err != nil {
		t.Error(err)
	}
	if err := line.Client().Ping(t.Context()).Err(); !Closed(err) {
		t.Errorf("a closed line answers %v", err)
	}
}
