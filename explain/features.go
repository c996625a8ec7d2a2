package explain

import (
	"fmt"
	"image"
	"math"
	"slices"
	"sort"

	"garb/picture"
)

// Sizes of a grid of feature maps.
const (
	maxChannels   = 64
	gridColumns   = 8
	mapSide       = 96  // pixels that a map is enlarged to, in whole steps
	largestTile   = 160 // and scaled down to
	maxFilters    = 256
	filterSide    = 48
	channelsFirst = 3 // of a convolution that sees the picture itself
)

// Range returns the smallest and the largest value.
func (m *FeatureMap) Range() (low, high float32) { return slices.Min(m.Values), slices.Max(m.Values) }

// Strongest lists the channels by how much they vary over the picture, those that vary
// most first: at most 64.
func (m *FeatureMap) Strongest() []int {
	spread := make([]float64, m.Channels)
	for c := range spread {
		var sum, squares float64
		for i := c; i < len(m.Values); i += m.Channels {
			v := float64(m.Values[i])
			sum, squares = sum+v, squares+v*v
		}
		n := float64(m.Height * m.Width)
		spread[c] = squares/n - sum/n*sum/n
	}
	order := make([]int, m.Channels)
	for c := range order {
		order[c] = c
	}
	sort.SliceStable(order, func(i, j int) bool { return spread[order[i]] > spread[order[j]] })
	return order[:min(m.Channels, maxChannels)]
}

// Grid draws channels of the map, each with its number, from its own lowest value, dark,
// to its highest.
func (m *FeatureMap) Grid(channels []int) *image.NRGBA {
	var tiles []Tile
	for _, c := range channels {
		tiles = append(tiles, Tile{m.channel(c), []string{fmt.Sprint(c)}})
	}
	title := fmt.Sprintf("%s (%s): %d x %d positions, %d channels", m.Layer, m.Op, m.Height, m.Width, m.Channels)
	if len(channels) < m.Channels {
		title += fmt.Sprintf(", the %d strongest", len(channels))
	}
	return Grid(title, tiles, gridColumns)
}

// channel draws one channel.
func (m *FeatureMap) channel(c int) *image.NRGBA {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for i := c; i < len(m.Values); i += m.Channels {
		low, high = min(low, m.Values[i]), max(high, m.Values[i])
	}
	out := image.NewNRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i := range m.Height * m.Width {
		share := float32(0)
		if high > low {
			share = (m.Values[i*m.Channels+c] - low) / (high - low)
		}
		out.SetNRGBA(i%m.Width, i/m.Width, even[uint8(255*min(max(share, 0), 1))])
	}
	switch side := max(m.Width, m.Height); {
	case side > largestTile:
		return shrunk(out, largestTile)
	case side <= mapSide/2:
		return enlarged(out, mapSide/side)
	}
	return out
}

// shrunk scales a picture down so that its longer side has so many pixels.
func shrunk(m *image.NRGBA, side int) *image.NRGBA {
	p := &picture.RGB{Width: m.Rect.Dx(), Height: m.Rect.Dy()}
	for i := 0; i < len(m.Pix); i += 4 {
		p.Pix = append(p.Pix, m.Pix[i:i+3]...)
	}
	return Fitted(p, side)
}
