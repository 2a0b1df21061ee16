package conn

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/tidemill/tidemill/internal/loop"
)

var replaceLogger sync.Once

// quietLibrary sends go-redis's own lines, which otherwise go to stderr at will,
// to log at debug level, at most one each 10 s. go-redis has one logger for the
// process, so the first Set decides.
func quietLibrary(log zerolog.Logger) {
	replaceLogger.Do(func() {
		redis.SetLogger(&libraryLog{log: log, limit: loop.NewLimiter(10 * time.Second)})
	})
}

type libraryLog struct {
	log   zerolog.Logger
	limit *loop.Limiter
}

// Printf implements go-redis's logger.
func (l *libraryLog) Printf(_ context.Context, format string, v ...any) {
	l.limit.Event(l.log.Debug()).Str("from", "go-redis").Msgf(format, v...)
}
