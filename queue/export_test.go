package queue

// HasExpress tells whether the express connection is there, and nobody has it; if not it is made.
func (c *Client) HasExpress() bool {
	if !c.express.Take() {
		return false
	}
	c.express.Free()
	return true
}
