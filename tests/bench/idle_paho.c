// SPDX-License-Identifier: Apache-2.0
// The other floor: a Paho client (MQTTClient, MQTT 5) that says as much as post does and knows nothing.
//
//   idle_paho URI LIVE_S LIVE_BYTES RECORDS_S RECORDS_BYTES
// Stays connected; publishes one message of QoS 0 every LIVE_S and one of QoS 1 every RECORDS_S, waits for
// its acknowledgement, and sleeps between on an absolute schedule.
#include <MQTTClient.h>

#include <stdlib.h>
#include <time.h>

static int publish(MQTTClient client, const char *topic, char *payload, int size, int qos)
{
    MQTTClient_message message = MQTTClient_message_initializer;
    MQTTClient_deliveryToken token;
    MQTTResponse response;

    message.payload = payload;
    message.payloadlen = size;
    message.qos = qos;
    response = MQTTClient_publishMessage5(client, topic, &message, &token);
    if (response.reasonCode == MQTTCLIENT_SUCCESS && qos > 0)
        return MQTTClient_waitForCompletion(client, token, 10000);
    return response.reasonCode;
}

static int go_on(MQTTClient client, char **argv)
{
    long live_s = strtol(argv[2], NULL, 10), records_s = strtol(argv[4], NULL, 10);
    int live_size = (int)strtol(argv[3], NULL, 10), records_size = (int)strtol(argv[5], NULL, 10), rc = 0;
    char *payload = calloc(1, (size_t)(live_size > records_size ? live_size : records_size) + 1);
    struct timespec next;

    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long second = live_s; payload && rc == 0; second += live_s) {
        next.tv_sec += live_s;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        rc = publish(client, "bench/live", payload, live_size, 0);
        if (rc == 0 && second % records_s == 0)
            rc = publish(client, "bench/records", payload, records_size, 1);
    }
    free(payload);
    return rc;
}

int main(int argc, char **argv)
{
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    MQTTClient_connectOptions connect = MQTTClient_connectOptions_initializer5;

    create.MQTTVersion = MQTTVERSION_5;
    if (argc != 6)
        return 64;
    if (MQTTClient_createWithOptions(&client, argv[1], "idle-paho", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) != 0)
        return 1;
    connect.keepAliveInterval = 60;
    if (MQTTClient_connect5(client, &connect, NULL, NULL).reasonCode != 0)
        return 1;
    return go_on(client, argv) != 0;
}
