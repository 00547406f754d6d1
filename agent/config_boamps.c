// SPDX-License-Identifier: Apache-2.0
// The group boamps: which of the BoAmps report's fields a configuration may give.
//
// Names are those of the BoAmps 1.1 schemas (Boavizta). What joulepost measures or knows itself (energies,
// times, the system, the components' counts) is not to be configured.
#include "config_keys.h"

#include <string.h>

#define PATH_SIZE 160

struct field {
    const char *path;
    char kind; // 's' text, 'n' number, 'g' group, 'l' list of groups
};

static const struct field fields[] = {
    {"measures", 's'}, // "total" or "parts", see below
    {"header", 'g'},
    {"header.licensing", 's'},
    {"header.formatVersion", 's'},
    {"header.formatVersionSpecificationUri", 's'},
    {"header.reportStatus", 's'},
    {"header.publisher", 'g'},
    {"header.publisher.name", 's'},
    {"header.publisher.division", 's'},
    {"header.publisher.projectName", 's'},
    {"header.publisher.confidentialityLevel", 's'},
    {"header.publisher.publicKey", 's'},
    {"task", 'g'},
    {"task.taskStage", 's'},
    {"task.taskFamily", 's'},
    {"task.nbRequest", 'n'},
    {"task.measuredAccuracy", 'n'},
    {"task.estimatedAccuracy", 's'},
    {"task.taskDescription", 's'},
    {"task.algorithms", 'l'},
    {"task.algorithms.trainingType", 's'},
    {"task.algorithms.algorithmType", 's'},
    {"task.algorithms.algorithmName", 's'},
    {"task.algorithms.algorithmUri", 's'},
    {"task.algorithms.foundationModelName", 's'},
    {"task.algorithms.foundationModelUri", 's'},
    {"task.algorithms.parametersNumber", 'n'},
    {"task.algorithms.framework", 's'},
    {"task.algorithms.frameworkVersion", 's'},
    {"task.algorithms.classPath", 's'},
    {"task.algorithms.layersNumber", 'n'},
    {"task.algorithms.epochsNumber", 'n'},
    {"task.algorithms.optimizer", 's'},
    {"task.algorithms.quantization", 's'},
    {"task.dataset", 'l'},
    {"task.dataset.dataUsage", 's'},
    {"task.dataset.dataType", 's'},
    {"task.dataset.dataFormat", 's'},
    {"task.dataset.dataSize", 'n'},
    {"task.dataset.dataQuantity", 'n'},
    {"task.dataset.shape", 's'},
    {"task.dataset.source", 's'},
    {"task.dataset.sourceUri", 's'},
    {"task.dataset.owner", 's'},
    {"infrastructure", 'g'},
    {"infrastructure.infraType", 's'},
    {"infrastructure.cloudProvider", 's'},
    {"infrastructure.cloudInstance", 's'},
    {"infrastructure.cloudService", 's'},
    {"software", 'g'},
    {"software.language", 's'},
    {"software.version", 's'},
    {"environment", 'g'},
    {"environment.country", 's'},
    {"environment.latitude", 'n'},
    {"environment.longitude", 'n'},
    {"environment.location", 's'},
    {"environment.powerSupplierType", 's'},
    {"environment.powerSource", 's'},
    {"environment.powerSourceCarbonIntensity", 'n'},
    {"quality", 's'},
    {NULL, 0},
};

static const struct field *find(const char *path)
{
    for (const struct field *field = fields; field->path; field++)
        if (strcmp(field->path, path) == 0)
            return field;
    return NULL;
}

static void list_names(const char *prefix, char *out, size_t size)
{
    size_t used = 0, length = strlen(prefix);

    out[0] = '\0';
    for (const struct field *field = fields; field->path && used < size; field++) {
        const char *name = field->path + (length ? length + 1 : 0);

        if (length && (strncmp(field->path, prefix, length) != 0 || field->path[length] != '.'))
            continue;
        if (!strchr(name, '.'))
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", name);
    }
}

static bool is_kind(const config_setting_t *setting, char kind)
{
    int type = config_setting_type(setting);

    switch (kind) {
    case 's':
        return type == CONFIG_TYPE_STRING;
    case 'n':
        return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64 || type == CONFIG_TYPE_FLOAT;
    case 'g':
        return type == CONFIG_TYPE_GROUP;
    default:
        return type == CONFIG_TYPE_LIST;
    }
}

static const char *kind_name(char kind)
{
    return kind == 's'   ? "text"
           : kind == 'n' ? "a number"
           : kind == 'g' ? "a group {...}"
                         : "a list of groups ( {...}, ... )";
}

static int read_group(const struct jp_config_reader *reader, const config_setting_t *group, const char *prefix);

static int read_field(const struct jp_config_reader *reader, const config_setting_t *setting, const char *prefix)
{
    const char *name = config_setting_name(setting);
    char path[PATH_SIZE], allowed[400];
    const struct field *field;
    int rc = 0;

    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", name);
    field = find(path);
    if (!field) {
        list_names(prefix, allowed, sizeof allowed);
        return jp_config_wrong(reader, setting, "unknown key boamps.%s, allowed: %s", path, allowed);
    }
    if (!is_kind(setting, field->kind))
        return jp_config_wrong(reader, setting, "boamps.%s has the wrong type, allowed: %s", path,
                               kind_name(field->kind));
    if (field->kind == 'g')
        return read_group(reader, setting, path);
    if (field->kind == 'l')
        for (int i = 0; rc == 0 && i < config_setting_length(setting); i++)
            rc = read_group(reader, config_setting_get_elem(setting, (unsigned)i), path);
    return rc;
}

static int read_group(const struct jp_config_reader *reader, const config_setting_t *group, const char *prefix)
{
    int rc = 0;

    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return jp_config_wrong(reader, group, "an entry of boamps%s%s is not a group, allowed: {...}",
                               *prefix ? "." : "", prefix);
    for (int i = 0; rc == 0 && i < config_setting_length(group); i++)
        rc = read_field(reader, config_setting_get_elem(group, (unsigned)i), prefix);
    return rc;
}

int jp_config_read_boamps(const struct jp_config_reader *reader, const config_setting_t *setting)
{
    const config_setting_t *member;
    const char *measures;
    int rc = read_group(reader, setting, "");

    if (rc)
        return rc;
    member = config_setting_get_member((config_setting_t *)setting, "measures");
    measures = member ? config_setting_get_string(member) : "total";
    if (strcmp(measures, "total") != 0 && strcmp(measures, "parts") != 0)
        return jp_config_wrong(reader, member,
                               "boamps.measures = \"%s\" is not possible, allowed: \"total\", \"parts\"", measures);
    return 0;
}
