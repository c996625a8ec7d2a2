package dataset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"garb/picture"
)

// Kind is something about a picture that its user may not expect, or that another program may treat
// differently.
type Kind string

// Kinds of pictures, in the order in which they are reported.
const (
	KindExtension   Kind = "wrong extension"
	KindRepaired    Kind = "repaired"
	KindAnimated    Kind = "animated"
	KindAlpha       Kind = "alpha over white"
	KindDeep        Kind = "more than 8 bits"
	KindCMYK        Kind = "CMYK"
	KindProfile     Kind = "other ICC profile" // than sRGB
	KindOrientation Kind = "EXIF orientation"  // other than upright
	KindGrey        Kind = "grey"
)

// maxKindPictures is the maximum number of pictures that a KindCount lists.
const maxKindPictures = 10_000

// KindCount counts the pictures of a kind and lists the first of them.
type KindCount struct {
	Kind     Kind          `json:"kind"`
	Count    int           `json:"count"`
	Pictures []KindPicture `json:"pictures"` // at most 10,000
}

// KindPicture is a picture of a kind.
type KindPicture struct {
	Path   string `json:"path"`
	Detail string `json:"detail,omitempty"` // such as the format, the profile or what was repaired
}

// kindRules says of which kinds a picture is. detail is shown for it.
var kindRules = []struct {
	kind  Kind
	check func(path string, i picture.Info) (is bool, detail string)
}{
	{KindExtension, func(path string, i picture.Info) (bool, string) {
		return hasWrongExtension(path, i.Format), fmt.Sprintf("it is %s", i.Format)
	}},
	{KindRepaired, func(_ string, i picture.Info) (bool, string) {
		return len(i.Repairs) > 0, strings.Join(i.Repairs, "; ")
	}},
	{KindAnimated, func(_ string, i picture.Info) (bool, string) { return i.Animated, "" }},
	{KindAlpha, func(_ string, i picture.Info) (bool, string) { return i.Alpha, "" }},
	{KindDeep, func(_ string, i picture.Info) (bool, string) {
		return i.BitsPerSample > 8, fmt.Sprintf("%d bits", i.BitsPerSample)
	}},
	{KindCMYK, func(_ string, i picture.Info) (bool, string) { return i.CMYK, "" }},
	{KindProfile, func(_ string, i picture.Info) (bool, string) { return i.OtherProfile != "", i.OtherProfile }},
	{KindOrientation, func(_ string, i picture.Info) (bool, string) {
		return i.Orientation > 1, fmt.Sprint(i.Orientation)
	}},
	{KindGrey, func(_ string, i picture.Info) (bool, string) { return i.Grey, "" }},
}

// countKinds counts pictures by kind. Kinds without pictures are left out.
func countKinds(all []inspection) []KindCount {
	counts := []KindCount{}
	for _, rule := range kindRules {
		c := KindCount{Kind: rule.kind}
		for _, p := range all {
			is, detail := rule.check(p.place.Path, p.info)
			if !is {
				continue
			}
			if c.Count++; c.Count <= maxKindPictures {
				c.Pictures = append(c.Pictures, KindPicture{p.place.Path, detail})
			}
		}
		if c.Count > 0 {
			counts = append(counts, c)
		}
	}
	return counts
}

// hasWrongExtension reports whether a file has the extension of a picture of another format.
func hasWrongExtension(path string, f picture.Format) bool {
	extension := strings.ToLower(filepath.Ext(path))
	return slices.Contains(pictureExtensions, extension) && !slices.Contains(f.Extensions(), extension)
}
