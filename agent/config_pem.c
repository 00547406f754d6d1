// SPDX-License-Identifier: Apache-2.0
// Whether the files of TLS are what they should be, before a connection needs them.
#include "config_keys.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <string.h>

// Nobody is asked for a passphrase: a service has no terminal.
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static X509 *read_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate = file ? PEM_read_bio_X509_AUX(file, NULL, no_passphrase, NULL) : NULL;

    BIO_free(file);
    return certificate;
}

static const char *certificate_problem(const char *path)
{
    X509 *certificate = read_certificate(path);

    X509_free(certificate);
    return certificate ? NULL : "holds no certificate, allowed: a PEM file";
}

static const char *key_problem(const char *path, const char *certificate_path)
{
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL) : NULL;
    X509 *certificate = read_certificate(certificate_path);
    const char *problem = NULL;

    if (!key)
        problem = "holds no private key, allowed: a PEM file without a passphrase";
    else if (certificate && X509_check_private_key(certificate, key) != 1)
        problem = "does not belong to mqtt.cert_file, allowed: the key that the certificate was made for";
    BIO_free(file);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return problem;
}

const char *jp_config_pem_problem(const struct jp_config *config, const char *key)
{
    if (strncmp(config->mqtt.url, "mqtts:", 6) != 0 && strncmp(config->mqtt.url, "wss:", 4) != 0)
        return NULL;
    if (strcmp(key, "mqtt.ca_file") == 0)
        return certificate_problem(config->mqtt.ca_file);
    if (strcmp(key, "mqtt.cert_file") == 0)
        return certificate_problem(config->mqtt.cert_file);
    return strcmp(key, "mqtt.key_file") == 0 ? key_problem(config->mqtt.key_file, config->mqtt.cert_file) : NULL;
}
