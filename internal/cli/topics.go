package cli

import (
	"context"

	"github.com/tidemill/tidemill/pubsub"
)

// OpenTopics connects for messages. Unlike Open it asks for no key of the namespace: live topics need none. The errors are
// those of Open.
func (c *Connection) OpenTopics(ctx context.Context, config pubsub.Config) (*pubsub.Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	url, from := c.URL()
	config.Namespace = c.Namespace()
	client, err := pubsub.Open(ctx, url, config)
	if err == nil {
		return client, nil
	}
	return nil, c.refused(ctx, url, from, err)
}
