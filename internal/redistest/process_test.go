package redistest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestFreezeProcess(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	thaw := FreezeProcess(t, cmd.Process)
	if err := in.Close(); err != nil { // what ends cat
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		t.Error("a frozen process ended")
	case <-time.After(100 * time.Millisecond):
	}
	thaw()
	thaw() // harmless
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestMemoryLimit(t *testing.T) {
	srv := Server(t, WithMaxMemory("8mb"))
	ctx, rdb := context.Background(), Client(t, srv)
	full := func() bool {
		err := rdb.Set(ctx, "k", "v", 0).Err()
		if err != nil && !redis.HasErrorPrefix(err, "OOM") {
			t.Fatal(err)
		}
		rdb.Del(ctx, "k")
		return err != nil
	}
	if full() {
		t.Error("full from the start")
	}
	empty := FillMemory(t, srv)
	if !full() {
		t.Error("there is room in a full server")
	}
	empty()
	if full() {
		t.Error("full after the filler was taken out")
	}
	for _, c := range []struct {
		limit string
		full  bool
	}{{"1", true}, {"0", false}} {
		if SetMaxMemory(t, srv, c.limit); full() != c.full {
			t.Errorf("with a limit of %s: full is %v", c.limit, !c.full)
		}
	}
}
