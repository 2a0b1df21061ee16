package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how far a stream is. A nil one shows nothing.
type progress struct {
	bar   *progressbar.ProgressBar
	size  int64 // of the input; -1 = not known
	began time.Time
}

// newProgress shows a bar where the size of the input is known, else (-1) a spinner.
func newProgress(w io.Writer, size int64) *progress {
	if size <= 0 {
		size = -1
	}
	return &progress{size: size, began: time.Now(), bar: progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSpinnerType(14),
		// Turned by what is done: one that turns by itself goes on drawing after the end.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionSetPredictTime(size > 0),
		progressbar.OptionClearOnFinish(),
	)}
}

// add says that so many more bytes of the input are done with, and lines in all. The bar is for people: its errors are nobody's business.
func (p *progress) add(size, lines int) {
	if p == nil {
		return
	}
	p.bar.Describe(fmt.Sprintf("%d lines, %.0f/s", lines, float64(lines)/max(time.Since(p.began).Seconds(), 0.001)))
	_ = p.bar.Add(size)
}

// begin says that the input is read from an offset on: what is before it takes no time.
func (p *progress) begin(offset int64) {
	if p != nil && p.size > 0 && offset > 0 {
		p.bar.ChangeMax64(max(p.size-offset, 1))
	}
}

// wait says why nothing moves.
func (p *progress) wait(why string, lines int) {
	if p != nil {
		p.bar.Describe(fmt.Sprintf("%d lines, %s", lines, why))
	}
}

// clear takes the bar away until it is drawn next.
func (p *progress) clear() {
	if p != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar away for good.
func (p *progress) end() {
	if p != nil {
		_ = p.bar.Exit()
		_ = p.bar.Clear()
	}
}
