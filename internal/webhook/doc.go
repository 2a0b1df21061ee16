// Package webhook runs jobs by HTTP: a POST of the payload to one URL from the configuration, signed as Standard Webhooks
// has it. What the answer means to the job:
//
//	2xx                        done; the body is the result
//	408, 425, 429, 5xx         retried, after Retry-After where the answer names one
//	other 4xx, 3xx             dead: the same request would be answered the same way
//	no answer, or half of one  retried: DNS, refused, reset, TLS and certificates, timeout, a body that breaks off
//
// Certificates are on the retrying side since they are mended without touching the job. Redirects are not followed: a
// receiver must not be able to send a signed request elsewhere.
//
// By default a proxy named by HTTP_PROXY or HTTPS_PROXY (and not excused by NO_PROXY) is used. Where private addresses
// are denied none is: it would be the proxy that resolves names, and nobody could judge what it connects to.
package webhook
