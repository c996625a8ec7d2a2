package dataset

import (
	"reflect"
	"strings"
	"testing"

	"garb/picture"
)

// TestCountKinds checks each kind with a picture of it and with one that is just not of it.
func TestCountKinds(t *testing.T) {
	plain := picture.Info{Format: picture.JPEG, BitsPerSample: 8, Orientation: 1}
	for _, test := range []struct {
		kind   Kind
		path   string
		change func(*picture.Info)
		detail string
	}{
		{KindExtension, "a.PNG", func(*picture.Info) {}, "it is jpeg"},
		{KindExtension, "a.jpg", func(i *picture.Info) { i.Format = picture.WebP }, "it is webp"},
		{"", "a.JFIF", func(*picture.Info) {}, ""},
		{"", "a", func(*picture.Info) {}, ""},
		{"", "a.backup", func(*picture.Info) {}, ""},
		{"", "a.heif", func(i *picture.Info) { i.Format = picture.HEIC }, ""},
		{KindRepaired, "a.jpg", func(i *picture.Info) { i.Repairs = []string{"one", "two"} }, "one; two"},
		{KindAnimated, "a.jpg", func(i *picture.Info) { i.Animated = true }, ""},
		{KindAlpha, "a.jpg", func(i *picture.Info) { i.Alpha = true }, ""},
		{KindDeep, "a.jpg", func(i *picture.Info) { i.BitsPerSample = 10 }, "10 bits"},
		{"", "a.jpg", func(i *picture.Info) { i.BitsPerSample = 1 }, ""},
		{KindCMYK, "a.jpg", func(i *picture.Info) { i.CMYK = true }, ""},
		{KindProfile, "a.jpg", func(i *picture.Info) { i.OtherProfile = "Display P3" }, "Display P3"},
		{KindOrientation, "a.jpg", func(i *picture.Info) { i.Orientation = 6 }, "6"},
		{KindGrey, "a.jpg", func(i *picture.Info) { i.Grey = true }, ""},
	} {
		p := inspection{place: Place{Path: test.path}, info: plain}
		test.change(&p.info)
		want := []KindCount{}
		if test.kind != "" {
			want = append(want, KindCount{test.kind, 1, []KindPicture{{test.path, test.detail}}})
		}
		plainOne := inspection{place: Place{Path: "plain.jpg"}, info: plain}
		if got := countKinds([]inspection{plainOne, p}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", test.path, got, want)
		}
	}
}

// TestManyOfAKind checks that the pictures of a kind are all counted, and the first are listed.
func TestManyOfAKind(t *testing.T) {
	all := make([]inspection, maxKindPictures+5)
	for i := range all {
		all[i].info.Grey = true
	}
	got := countKinds(all)
	if len(got) != 1 || got[0].Count != len(all) || len(got[0].Pictures) != maxKindPictures {
		t.Errorf("%d kinds", len(got))
	}
}

// TestPictureExtensions checks that files of every format are found by their extension, in lower case.
func TestPictureExtensions(t *testing.T) {
	known := strings.Join(pictureExtensions, " ") + " "
	for _, f := range picture.Formats() {
		for _, extension := range f.Extensions() {
			if !strings.Contains(known, extension+" ") || extension != strings.ToLower(extension) {
				t.Errorf("%s is missing", extension)
			}
		}
	}
}

// TestLimitOptions checks that the options reach the limits of each picture.
func TestLimitOptions(t *testing.T) {
	if got := (Options{}).Limits(); got != picture.DefaultLimits() {
		t.Errorf("%+v", got)
	}
	l := Options{MaxPixels: 7, KeepTruncated: true}.Limits()
	if l.MaxPixels != 7 || l.MaxDecodedPixels != 7 || !l.KeepTruncated {
		t.Errorf("%+v", l)
	}
	if (Options{MaxPixels: -1}).Validate() == nil {
		t.Error("a negative maximum is valid")
	}
}
