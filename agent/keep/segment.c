// SPDX-License-Identifier: Apache-2.0
// Headers, frames and names of segments: bytes in, bytes out.
#include "segment.h"

#include "cbor.h"
#include "crc32c.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SELF_DESCRIBED 55799 // RFC 8949, 3.4.6
#define HEADER_PAIRS 10
#define CRC_AT 2  // the CRC's four bytes in a frame's head
#define COVERED 6 // the first byte under the CRC
#define NAME_DIGITS 8
#define NAME_DIGITS_MAX 12 // of JP_SEGMENT_NUMBER_MAX

int jp_pos_compare(struct jp_pos a, struct jp_pos b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

static void put_be32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static uint32_t get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// Header -----------------------------------------------------------------------------------------
int jp_segment_header_encode(const struct jp_segment_header *header, void *buffer, size_t size)
{
    uint8_t crc[5] = {0x1a};
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_tag(&out, SELF_DESCRIBED);
    jp_cbor_put_map(&out, HEADER_PAIRS);
    jp_cbor_put_text(&out, "format");
    jp_cbor_put_uint(&out, header->version);
    jp_cbor_put_text(&out, "spool_id");
    jp_cbor_put_bytes(&out, header->spool_id, sizeof header->spool_id);
    jp_cbor_put_text(&out, "segment");
    jp_cbor_put_uint(&out, header->number);
    jp_cbor_put_text(&out, "device");
    jp_cbor_put_text(&out, header->device);
    jp_cbor_put_text(&out, "boot");
    jp_cbor_put_text(&out, header->boot);
    jp_cbor_put_text(&out, "boot_ms");
    jp_cbor_put_int(&out, header->boot_ms);
    jp_cbor_put_text(&out, "real_ms");
    jp_cbor_put_int(&out, header->real_ms);
    jp_cbor_put_text(&out, "clock");
    jp_cbor_put_text(&out, header->clock);
    jp_cbor_put_text(&out, "tool");
    jp_cbor_put_text(&out, header->tool);
    jp_cbor_put_text(&out, "crc");
    if (!out.failed)
        put_be32(crc + 1, jp_crc32c(0, buffer, out.used));
    jp_cbor_put_raw(&out, crc, sizeof crc);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

static bool is_key(const char *key, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(key, name, size) == 0;
}

static void get_spool_id(struct jp_cbor_in *in, uint8_t id[16])
{
    size_t size;
    const uint8_t *bytes = jp_cbor_get_bytes(in, &size);

    if (in->failed || size != 16)
        in->failed = true;
    else
        memcpy(id, bytes, 16);
}

// One pair of the map but the CRC.
static void get_pair(struct jp_cbor_in *in, struct jp_segment_header *header, const char *key, size_t size)
{
    if (is_key(key, size, "format"))
        header->version = jp_cbor_get_uint(in);
    else if (is_key(key, size, "spool_id"))
        get_spool_id(in, header->spool_id);
    else if (is_key(key, size, "segment"))
        header->number = jp_cbor_get_uint(in);
    else if (is_key(key, size, "device"))
        jp_cbor_copy_text(in, header->device, sizeof header->device);
    else if (is_key(key, size, "boot"))
        jp_cbor_copy_text(in, header->boot, sizeof header->boot);
    else if (is_key(key, size, "boot_ms"))
        header->boot_ms = jp_cbor_get_int(in);
    else if (is_key(key, size, "real_ms"))
        header->real_ms = jp_cbor_get_int(in);
    else if (is_key(key, size, "clock"))
        jp_cbor_copy_text(in, header->clock, sizeof header->clock);
    else if (is_key(key, size, "tool"))
        jp_cbor_copy_text(in, header->tool, sizeof header->tool);
    else
        jp_cbor_skip(in);
}

int jp_segment_header_decode(struct jp_segment_header *header, const void *bytes, size_t size)
{
    struct jp_cbor_in in;
    bool whole = false;
    size_t pairs;

    memset(header, 0, sizeof *header);
    jp_cbor_in_init(&in, bytes, size);
    if (jp_cbor_get_tag(&in) != SELF_DESCRIBED)
        return -EBADMSG;
    pairs = jp_cbor_get_map(&in);
    for (size_t i = 0; i < pairs && !in.failed; i++) {
        size_t length, at;
        const char *key = jp_cbor_get_text(&in, &length);

        if (in.failed)
            break;
        at = in.at;
        if (i + 1 == pairs && is_key(key, length, "crc"))
            whole = jp_cbor_get_uint(&in) == jp_crc32c(0, bytes, at) && in.at == at + 5;
        else
            get_pair(&in, header, key, length);
    }
    if (in.failed || !whole)
        return -EBADMSG;
    return header->version == JP_FORMAT_VERSION ? (int)in.at : -EPROTONOSUPPORT;
}

// Frames -----------------------------------------------------------------------------------------
void jp_frame_head(uint8_t head[JP_FRAME_HEAD], uint32_t number, uint8_t type, const void *payload, size_t size)
{
    uint32_t crc;

    head[0] = 0x84;
    head[1] = 0x1a;
    head[6] = 0x1a;
    put_be32(head + 7, number);
    head[11] = 0x18;
    head[12] = type;
    head[13] = 0x59;
    head[14] = (uint8_t)(size >> 8);
    head[15] = (uint8_t)size;
    crc = jp_crc32c(0, head + COVERED, JP_FRAME_HEAD - COVERED);
    put_be32(head + CRC_AT, jp_crc32c(crc, payload, size));
}

enum jp_frame_found jp_frame_parse(struct jp_frame *frame, const uint8_t *bytes, size_t size)
{
    static const struct {
        uint8_t at, value;
    } fixed[] = {{0, 0x84}, {1, 0x1a}, {6, 0x1a}, {11, 0x18}, {13, 0x59}};
    size_t length;

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (fixed[i].at < size && bytes[fixed[i].at] != fixed[i].value)
            return JP_FOUND_BAD;
    if (size < JP_FRAME_HEAD)
        return JP_FOUND_SHORT;
    length = (size_t)bytes[14] << 8 | bytes[15];
    // An argument under 24 after 0x18 is how this format writes a type; 0 is no type.
    if (length > JP_PAYLOAD_MAX || bytes[12] == 0)
        return JP_FOUND_BAD;
    if (size < JP_FRAME_HEAD + length)
        return JP_FOUND_SHORT;
    if (jp_crc32c(0, bytes + COVERED, JP_FRAME_HEAD - COVERED + length) != get_be32(bytes + CRC_AT))
        return JP_FOUND_BAD;
    frame->number = get_be32(bytes + 7);
    frame->type = bytes[12];
    frame->payload = bytes + JP_FRAME_HEAD;
    frame->size = length;
    return JP_FOUND_WHOLE;
}

// Names ------------------------------------------------------------------------------------------
int jp_segment_path(char path[JP_PATH_MAX], const char *dir, uint64_t number)
{
    int n;

    if (number > JP_SEGMENT_NUMBER_MAX)
        return -ERANGE;
    n = snprintf(path, JP_PATH_MAX, "%s/%0*" PRIu64 ".jps", dir, NAME_DIGITS, number);
    return n < 0 || n >= JP_PATH_MAX ? -ENAMETOOLONG : 0;
}

bool jp_segment_number(const char *name, uint64_t *number)
{
    size_t digits = strspn(name, "0123456789");

    if (digits < NAME_DIGITS || digits > NAME_DIGITS_MAX || strcmp(name + digits, ".jps") != 0)
        return false;
    if (digits > NAME_DIGITS && name[0] == '0')
        return false;
    *number = 0;
    for (size_t i = 0; i < digits; i++)
        *number = *number * 10 + (uint64_t)(name[i] - '0');
    return *number > 0;
}

int64_t jp_segment_size(const struct jp_fs *fs, const char *dir, uint64_t number)
{
    char path[JP_PATH_MAX];
    int64_t size;
    int fd = jp_segment_path(path, dir, number) ? -1 : fs->open(fs, path, JP_FS_READ);

    if (fd < 0)
        return 0;
    size = fs->size(fs, fd);
    fs->close(fs, fd);
    return size > 0 && size <= JP_SEGMENT_MAX ? size : 0;
}

struct find {
    uint64_t above, next, highest;
};

static int find_one(void *context, const char *name)
{
    struct find *find = context;
    uint64_t number;

    if (!jp_segment_number(name, &number))
        return 0;
    if (number > find->above && (find->next == 0 || number < find->next))
        find->next = number;
    if (number > find->highest)
        find->highest = number;
    return 0;
}

int jp_segment_find(const struct jp_fs *fs, const char *dir, uint64_t above, uint64_t *next, uint64_t *highest)
{
    struct find find = {.above = above};
    int rc = fs->list(fs, dir, find_one, &find);

    *next = find.next;
    *highest = find.highest;
    return rc;
}
