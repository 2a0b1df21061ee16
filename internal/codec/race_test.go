//go:build race

package codec

func init() { race = true }
