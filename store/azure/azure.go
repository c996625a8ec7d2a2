// Package azure reads and writes blobs of Azure Blob Storage, with URLs such as
// azblob://container/key. It adds itself to package store when it is imported.
//
// The parameter storage_account names the account, if AZURE_STORAGE_ACCOUNT does not. For the
// emulator Azurite, add protocol=http, domain=127.0.0.1:10000 and localemu=true.
package azure

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	azureblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	gocloud "gocloud.dev/blob/azureblob"

	"garb/store"
)

func init() { store.Register(gocloud.Scheme, driver{}) }

// driver is the store.Driver of azblob://.
type driver struct{}

// Open opens a container.
func (driver) Open(ctx context.Context, u *url.URL, guard func(*http.Transport) http.RoundTripper) (
	*blob.Bucket, error) {
	options := azcore.ClientOptions{
		Transport: &http.Client{Transport: guard(http.DefaultTransport.(*http.Transport).Clone())},
		// Uploads need the library's own attempts. Store repeats reading and listing as well.
		Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: time.Second / 4},
	}
	opener := &gocloud.URLOpener{
		ServiceURLOptions: *gocloud.NewDefaultServiceURLOptions(),
		MakeClient: func(service gocloud.ServiceURL, name gocloud.ContainerName) (*container.Client, error) {
			return newClient(string(service), string(name), options)
		},
	}
	return opener.OpenBucketURL(ctx, u)
}

// newClient returns a client with the credentials of the environment, which are those that
// gocloud.dev's own client reads.
func newClient(service, name string, options azcore.ClientOptions) (*container.Client, error) {
	address, err := url.JoinPath(service, name)
	if err != nil {
		return nil, err
	}
	o := &container.ClientOptions{ClientOptions: options}
	account, key := os.Getenv("AZURE_STORAGE_ACCOUNT"), os.Getenv("AZURE_STORAGE_KEY")
	connection := cmp.Or(os.Getenv("AZURE_STORAGE_CONNECTION_STRING"), os.Getenv("AZURE_STORAGEBLOB_CONNECTIONSTRING"))
	switch {
	case account != "" && key != "":
		credential, failed := azblob.NewSharedKeyCredential(account, key)
		if failed != nil {
			return nil, store.CredentialsError(errors.New("AZURE_STORAGE_KEY is no key in base64"))
		}
		return container.NewClientWithSharedKeyCredential(address, credential, o)
	case os.Getenv("AZURE_STORAGE_SAS_TOKEN") != "":
		return container.NewClientWithNoCredential(address, o)
	case connection != "":
		client, failed := container.NewClientFromConnectionString(connection, name, o)
		if failed != nil {
			return nil, store.CredentialsError(errors.New("the connection string is malformed"))
		}
		return client, nil
	}
	credential, err := azidentity.NewDefaultAzureCredential(
		&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	if err != nil {
		return nil, store.CredentialsError(err)
	}
	return container.NewClient(address, credential, o)
}

// Once does nothing: the library's attempts cannot be set for a single request.
func (driver) Once(func(any) bool) {}

// Describe returns a blob's key and its entity tag.
func (driver) Describe(as func(any) bool) (key, version string) {
	var listed container.BlobItem
	var properties azureblob.GetPropertiesResponse
	var read azureblob.DownloadStreamResponse
	var tag *azcore.ETag
	switch {
	case as(&listed):
		if listed.Name != nil {
			key = *listed.Name
		}
		if listed.Properties != nil {
			tag = listed.Properties.ETag
		}
	case as(&properties):
		tag = properties.ETag
	case as(&read):
		tag = read.ETag
	}
	if tag != nil {
		version = strings.Trim(string(*tag), `"`)
	}
	return key, version
}

// Explain returns the status, and Azure's error code.
func (driver) Explain(err error) (status int, cause error) {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode, errors.New(cmp.Or(answer.ErrorCode, http.StatusText(answer.StatusCode)))
	}
	var refused interface{ NonRetriable() } // by azidentity, which has no credentials
	if errors.As(err, &refused) {
		return http.StatusUnauthorized, nil
	}
	return 0, nil
}

// Hint says where credentials come from.
func (driver) Hint() string {
	return "credentials come from AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, from " +
		"AZURE_STORAGE_CONNECTION_STRING, from az login, or the machine's managed identity"
}
