//go:build !linux

package supervise

import (
	"context"

	"github.com/rs/zerolog"
)

// Main answers false: there is no supervisor process on this system.
func Main() bool { return false }

// Start starts a Supervisor and logs once what it cannot do on this system.
func Start(_ context.Context, log zerolog.Logger) (*Supervisor, error) {
	log.Warn().Msg(groupLimits)
	return &Supervisor{engine: newGroups(), limits: groupLimits}, nil
}
