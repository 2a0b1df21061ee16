package devserver

import "testing"

// The first gets a server, the next one finds it, and who was told of one gets that.
func TestLend(t *testing.T) {
	t.Parallel()
	url, lent, stop, err := Lend("", "127.0.0.1:0")
	if err != nil || !lent {
		t.Fatal(lent, err)
	}
	defer stop()
	next, lent, end, err := Lend("", url[len("redis://"):len(url)-len("/0")])
	if err != nil || lent || next != url {
		t.Errorf("the next one gets %s, %t, %v; want %s", next, lent, err, url)
	}
	end() // does not end the other's
	told, lent, end, err := Lend("redis://elsewhere:1/0", "127.0.0.1:0")
	if err != nil || lent || told != "redis://elsewhere:1/0" {
		t.Errorf("who was told of one gets %s, %t, %v", told, lent, err)
	}
	end()
	if err := dial(t, &Server{Addr: url[len("redis://") : len(url)-len("/0")]}).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}
