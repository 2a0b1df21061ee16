package queue

// HasExpress tells whether the express connection is there, and nobody has it; if not it is made.
func (c *Client) HasExpress() bool {
	if !c.express.Take() {
		return false
	}
	c.express.Free()
	return true
}

// Waiting is how many single enqueues of a queue wait for a call.
func (c *Client) Waiting(name string) int {
	l, err := c.queue(name)
	if err != nil {
		return -1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.plain.waiting)
}

// InConvoy tells whether single enqueues of a queue travel as a convoy.
func (c *Client) InConvoy(name string) bool {
	l, err := c.queue(name)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plain.convoy
}
