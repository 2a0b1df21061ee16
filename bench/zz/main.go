package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/bench/internal/rig"
	"github.com/tidemill/tidemill/queue"
)

type job rig.Payload

func (job) Kind() string { return "bench" }

func main() {
	runtime.GOMAXPROCS(1)
	srv := exec.Command("redis-server", "--port", "17999", "--save", "")
	srv.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	srv.Start()
	defer srv.Process.Kill()
	time.Sleep(300 * time.Millisecond)
	ctx := context.Background()
	c, err := queue.Open(ctx, "redis://127.0.0.1:17999", queue.Config{})
	if err != nil {
		panic(err)
	}
	for range 3 {
		c.Enqueue(ctx, job(rig.NewPayload(1)))
		time.Sleep(100 * time.Millisecond)
	}
	size, _ := strconv.Atoi(os.Args[1])
	batch := make([]job, size)
	run := func(n int) {
		for i := 0; i < n; i++ {
			for j := range batch {
				batch[j] = job(rig.NewPayload(i*1000 + j))
			}
			if _, err := c.EnqueueMany(ctx, queue.Items(batch)); err != nil {
				panic(err)
			}
		}
	}
	run(1000)
	p := exec.Command("perf", "record", "-e", "cpu-clock", "-F", "5000", "--call-graph", "fp", "-o", "/tmp/perf.data", "-p", fmt.Sprint(srv.Process.Pid))
	if len(os.Args) > 2 {
		p.Start()
		time.Sleep(time.Second)
	}
	t := time.Now()
	n := 400000 / size
	run(n)
	fmt.Println(time.Since(t)/time.Duration(n), "a call")
	if len(os.Args) > 2 {
		p.Process.Signal(os.Interrupt)
		p.Wait()
	}
}
