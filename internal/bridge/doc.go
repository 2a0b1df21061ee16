// Package bridge makes jobs of the messages of topics, beside a worker: the subscriptions of worker.yaml.
package bridge
