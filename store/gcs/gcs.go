// Package gcs reads and writes objects of Google Cloud Storage, with URLs such as gs://bucket/key.
// It adds itself to package store when it is imported.
//
// The parameter anonymous=true reads public buckets without credentials.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"garb/store"
)

func init() { store.Register(gcsblob.Scheme, driver{}) }

// driver is the store.Driver of gs://.
type driver struct{}

// libraryAttempts is the number of attempts of Google's library for each of those of Store. Its
// uploads need some; its readings and listings are repeated by Store as well.
const libraryAttempts = 2

// Open opens a bucket. The library reads STORAGE_EMULATOR_HOST for a server that stands in for
// Google's.
func (driver) Open(ctx context.Context, u *url.URL, guard func(*http.Transport) http.RoundTripper) (
	*blob.Bucket, error) {
	anonymous := false
	for name, values := range u.Query() {
		var err error
		if anonymous, err = strconv.ParseBool(values[0]); name != "anonymous" || err != nil {
			return nil, fmt.Errorf("the parameter %s is wrong; the only one is anonymous=true", name)
		}
	}
	ctx = context.WithoutCancel(ctx) // the library keeps it to refresh credentials
	transport := guard(http.DefaultTransport.(*http.Transport).Clone())
	client := gcp.NewAnonymousHTTPClient(transport)
	if !anonymous && !emulated() {
		credentials, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			return nil, store.CredentialsError(err)
		}
		if client, err = gcp.NewHTTPClient(transport, gcp.CredentialsTokenSource(credentials)); err != nil {
			return nil, err
		}
	}
	bucket, err := gcsblob.OpenBucket(ctx, client, u.Host, &gcsblob.Options{
		ClientOptions: []option.ClientOption{option.WithHTTPClient(&client.Client)},
	})
	if err != nil {
		return nil, err
	}
	var service *storage.Client
	if bucket.As(&service) {
		service.SetRetry(storage.WithMaxAttempts(libraryAttempts))
	}
	return bucket, nil
}

// Once turns off the repetition of a reading.
func (driver) Once(as func(any) bool) {
	var object **storage.ObjectHandle
	if as(&object) {
		*object = (*object).Retryer(storage.WithPolicy(storage.RetryNever))
	}
}

// Describe returns an object's key and its generation.
func (driver) Describe(as func(any) bool) (key, version string) {
	var attributes storage.ObjectAttrs
	var read *storage.Reader
	switch {
	case as(&read):
		if read.Attrs.Generation == 0 {
			return "", ""
		}
		return "", strconv.FormatInt(read.Attrs.Generation, 10)
	case !as(&attributes):
		return "", ""
	}
	return attributes.Name, strconv.FormatInt(attributes.Generation, 10)
}

// Explain returns the status, and Google's message.
func (driver) Explain(err error) (status int, cause error) {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		if answer.Message == "" {
			return answer.Code, errors.New(http.StatusText(answer.Code))
		}
		return answer.Code, errors.New(answer.Message)
	}
	if errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist) {
		return http.StatusNotFound, nil
	}
	return 0, nil
}

// Hint says where credentials come from.
func (driver) Hint() string {
	return "credentials come from GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, or the " +
		"machine's service account; a public bucket needs the parameter anonymous: gs://BUCKET?anonymous=true"
}
