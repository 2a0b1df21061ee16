package supervise

import (
	"os/exec"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

// BenchmarkStarts counts the commands run per second, 16 at a time: by os/exec from this process, and through a
// supervisor. Both inherit the same three files and start the same program.
func BenchmarkStarts(b *testing.B) {
	r := newRig(b, started(b, zerolog.Nop()))
	b.Run("plain", func(b *testing.B) {
		sixteen(b, func() {
			cmd := exec.Command("/bin/true")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = r.null, r.null, r.null
			if err := cmd.Run(); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("supervised", func(b *testing.B) {
		sixteen(b, func() {
			p, err := r.s.Start(Command{Path: "/bin/true", Args: []string{"true"}, Dir: "/", Stdin: r.null, Stdout: r.null, Stderr: r.null})
			if err != nil {
				b.Error(err)
				return
			}
			<-p.Done()
			if e := p.Exit(); e.Err != nil || e.Code != 0 {
				b.Error(e)
			}
		})
	})
}

func sixteen(b *testing.B, run func()) {
	next := make(chan struct{})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range next {
				run()
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		next <- struct{}{}
	}
	close(next)
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}
