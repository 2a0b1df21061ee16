package monitor

import (
	"fmt"
	stdlog "log"
	"strings"

	"github.com/rs/zerolog"
)

// quietLog takes what net/http has to say of clients that misbehave: it is not the worker's fault.
func quietLog(log zerolog.Logger) *stdlog.Logger { return stdlog.New(lines{log}, "", 0) }

type lines struct{ log zerolog.Logger }

func (l lines) Write(p []byte) (int, error) {
	l.log.Debug().Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}

// scrapeLog takes what is wrong with metrics.
type scrapeLog struct{ log zerolog.Logger }

func (l scrapeLog) Println(v ...any) { l.log.Warn().Msg(strings.TrimSpace(fmt.Sprintln(v...))) }
