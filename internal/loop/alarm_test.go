package loop

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAlarm(t *testing.T) {
	a := NewAlarm()
	defer a.Close()
	began := time.Now()
	a.Set(time.Hour)
	a.Set(20 * time.Millisecond) // in its place
	<-a.C()
	if passed := time.Since(began); passed < 20*time.Millisecond {
		t.Errorf("it rang %v early", 20*time.Millisecond-passed)
	}
	for _, d := range []time.Duration{0, -time.Second, 1} {
		a.Set(d)
		<-a.C()
	}
	select {
	case <-a.C():
		t.Error("it rang twice")
	default:
	}
}

// In a bubble it follows the bubble's clock, which stands still while anyone waits for the kernel.
func TestAlarmInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAlarm()
		began := time.Now()
		a.Set(time.Second)
		a.Set(time.Hour)
		<-a.C()
		if passed := time.Since(began); passed != time.Hour {
			t.Errorf("it rang after %v", passed)
		}
		a.Set(time.Hour)
		a.Close()
		time.Sleep(2 * time.Hour)
		select {
		case <-a.C():
			t.Error("it rang after its end")
		default:
		}
	})
}

// An alarm that ends while it is set leaves nothing behind: Close has waited for it.
func TestAlarmEnds(t *testing.T) {
	for range 100 {
		a := NewAlarm()
		a.Set(time.Millisecond)
		a.Close()
	}
}
