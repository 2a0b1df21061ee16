// Package loop holds the few shapes every long-running service of Tidemill is
// made of: retry until it works, sleep that ends with a context, a steady
// ticker, a rate limit for log lines, and a wake-up that coalesces.
package loop
