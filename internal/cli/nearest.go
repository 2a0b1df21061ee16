package cli

import "github.com/tidemill/tidemill/internal/nearest"

// Nearest answers the one of names that was probably meant by what was typed, or nothing when none is near.
func Nearest(typed string, names []string) string { return nearest.Of(typed, names) }
