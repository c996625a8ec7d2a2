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
	mapSide       = 96  // small maps are enlarged by a whole factor, up to so many pixels
	largestTile   = 160 // larger maps are scaled down to so many pixels
	maxFilters    = 256
	filterSide    = 48
	channelsFirst = 3 // of the kernel of a convolution that sees the picture itself
)

// Range returns the smallest and the largest value.
func (m *FeatureMap) Range() (low, high float32) { return slices.Min(m.Values), slices.Max(m.Values) }

// Strongest returns the channels with the largest variance over the picture, at most 64, the
// largest first.
func (m *FeatureMap) Strongest() []int {
	spread := make([]float64, m.Channels)
	for c := range spread {
		var sum, squares float64
		for i := c; i < len(m.Values); i += m.Channels {
			v := float64(m.Values[i])
			sum, squares = sum+v, squares+float64(v*v)
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

// DrawGrid draws channels of the map, each with its number. Dark is the channel's lowest
// value, light its highest.
func (m *FeatureMap) DrawGrid(channels []int) *image.NRGBA {
	var tiles []Tile
	for _, c := range channels {
		tiles = append(tiles, Tile{m.drawChannel(c), []string{fmt.Sprint(c)}})
	}
	title := fmt.Sprintf("%s (%s): %d x %d positions, %d channels", m.Layer, m.Op, m.Height, m.Width, m.Channels)
	if len(channels) < m.Channels {
		title += fmt.Sprintf(", the %d strongest", len(channels))
	}
	return DrawGrid(title, tiles, gridColumns)
}

func (m *FeatureMap) drawChannel(c int) *image.NRGBA {
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
		out.SetNRGBA(i%m.Width, i/m.Width, colourMap[uint8(255*min(max(share, 0), 1))])
	}
	switch side := max(m.Width, m.Height); {
	case side > largestTile:
		return shrink(out, largestTile)
	case side <= mapSide/2:
		return enlarge(out, mapSide/side)
	}
	return out
}

// shrink scales a picture down so that its longer side has side pixels.
func shrink(m *image.NRGBA, side int) *image.NRGBA {
	p := &picture.RGB{Width: m.Rect.Dx(), Height: m.Rect.Dy()}
	for i := 0; i < len(m.Pix); i += 4 {
		p.Pix = append(p.Pix, m.Pix[i:i+3]...)
	}
	return Fit(p, side)
}
