// Package backbone holds the architectures that garb knows: one file each, and
// the table that pairs each with the preprocessing of its ImageNet weights.
package backbone
