package heif

import ("testing";"os";"context";"time";"fmt")

func TestTry(t *testing.T) {
	for _, f := range []string{"testdata/test8.avif","testdata/test10.avif","testdata/test8.heic","testdata/test12.heic","testdata/test8.avif","testdata/test8.heic"} {
		d,_ := os.ReadFile(f)
		fmt.Println(Identify(d))
		s := time.Now()
		p,w,h,err := Decode(context.Background(), d, 1<<24)
		fmt.Println(f, len(p),w,h,err,time.Since(s))
	}
}
