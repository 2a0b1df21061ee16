package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by release builds: -ldflags "-X github.com/tidemill/tidemill/internal/cli.version=v1.2.3".
var version string

// Version says which build this is: the release, or else what the Go toolchain noted of the sources.
func Version() string {
	name := version
	if name == "" {
		name = built()
	}
	return fmt.Sprintf("%s (%s %s/%s)", name, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// built is the module's version, which the toolchain derives from tag or commit; from `go run` and tests there is none.
func built() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
