"""Sensors in a process of their own: numbered readings over MQTT, each until the broker has it.

python -m tests.support.mqtt_publisher PORT SENSORS READINGS PER_SECOND [PER_MESSAGE]
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time

#: Messages that may wait for the broker; above 65,535 their numbers would be used twice.
MAX_AHEAD = 10_000


def value(sensor, number):
    """The reading of a sensor; None where the sensor had nothing."""
    if (sensor * 7 + number) % 53 == 0:
        return None
    return ((sensor * 31 + number * 17) % 83) / 20 - 2


def topic(sensor):
    return f"plant/s{sensor}/readings"


def main(port, sensors, readings, per_second, per_message=1):
    import paho.mqtt.client as mqtt

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="sensors", clean_session=False)
    client.max_inflight_messages_set(100)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, 1)
    acknowledged = itertools.count(1)
    done = [0]
    broken = threading.Event()
    client.on_disconnect = lambda *_: broken.set()
    client.on_publish = lambda *_: done.__setitem__(0, next(acknowledged))
    client.connect("127.0.0.1", port)
    client.loop_start()
    began_s, sent, messages = time.monotonic(), 0, 0
    for first in range(1, readings + 1, per_message):
        numbers = range(first, min(first + per_message, readings + 1))
        for sensor in range(sensors):
            rows = [{"seq": n, "co2_change": value(sensor, n)} for n in numbers]
            payload = json.dumps(rows if per_message > 1 else rows[0])
            # After a broken connection, what was sent before comes first: the client itself lets
            # new messages overtake old ones while it connects.
            while messages - done[0] > (0 if broken.is_set() else MAX_AHEAD):
                time.sleep(0.01)
            broken.clear()
            client.publish(topic(sensor), payload, qos=1)
            messages += 1
            sent += len(rows)
            ahead_s = began_s + sent / per_second - time.monotonic()
            if ahead_s > 0.01:
                time.sleep(ahead_s)
    until_s = time.monotonic() + 300
    while done[0] < messages:
        assert time.monotonic() < until_s, "the broker does not take the readings"
        time.sleep(0.05)
    client.disconnect()
    client.loop_stop()
    print("all sent", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
