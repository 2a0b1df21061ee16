package redisserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parentEnv turns this test binary into a process that starts a server, prints
// its pid and waits to be killed.
const parentEnv = "TIDEMILL_REDISSERVER_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.Pid())
	<-s.Done() // and longer than that: only a kill ends this process
	select {}
}

func TestServerDiesWithItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentEnv+"=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || convErr != nil {
		t.Fatalf("the parent said %q (%v)", line, err)
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for running(pid) {
		select {
		case <-deadline:
			if server, err := os.FindProcess(pid); err == nil {
				_ = server.Kill() // or it would outlive this test too
			}
			t.Fatalf("server %d outlived its parent", pid)
		case <-tick.C:
		}
	}
}

// running tells whether the pid is a process that is not a zombie: who reaps
// orphans, and when, is not ours to say.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
