"""Sources that are asked: IIO, hardware monitors, thermal zones, the load, Modbus."""

import asyncio
import itertools
import math
import os
import socket
import struct
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from edgernn.connections.registry import make_source
from tests.support.broker import free_port

WHERE = "serve.toml, [[source]] 1"


def source(channels, **table):
    errors = []
    made = make_source(table, WHERE, channels, errors)
    assert errors == []
    made.open(None)
    return made


def one(made):
    (arrival,) = made.read(10, 1.0).arrivals
    return arrival


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def sys(tmp_path):
    """A folder like /sys, with the files of a BME280, an MPU-6050, a chip and a zone."""
    iio = tmp_path / "sys/bus/iio/devices"
    write(iio / "iio:device0", name="bme280\n", in_temp_input="21500\n",
          in_humidityrelative_input="40250\n", in_pressure_input="101.325000000\n")  # fmt: skip
    write(iio / "iio:device1", name="mpu6050\n", in_accel_x_raw="-100\n", in_accel_scale="0.0006\n",
          in_temp_raw="-521\n", in_temp_scale="2.941176\n", in_temp_offset="12420\n",
          in_voltage0_raw="1000\n", in_voltage_scale="1.25\n")  # fmt: skip
    write(tmp_path / "sys/class/hwmon/hwmon3", name="cpu_thermal\n", temp1_input="48300\n",
          in0_input="875\n", fan1_input="1200\n", power1_input="2500000\n")  # fmt: skip
    write(tmp_path / "sys/class/thermal/thermal_zone0", type="cpu-thermal\n", temp="51250\n")
    return tmp_path


def test_iio_values_are_in_the_usual_units(sys):
    channels = ("t", "rh", "bme280/in_pressure", "ax", "t2", "v")
    columns = {
        "t": "bme280/in_temp", "rh": "iio:device0/in_humidityrelative", "ax": "mpu6050/in_accel_x",
        "t2": "mpu6050/in_temp", "v": "mpu6050/in_voltage0",
    }  # fmt: skip
    arrival = one(source(channels, kind="iio", columns=columns, root=str(sys), key="shed"))
    assert arrival.key == "shed" and arrival.problem == ""
    expected = [21.5, 40.25, 101.325, -0.06, (-521 + 12420) * 2.941176 / 1e3, 1.25]
    assert arrival.values == pytest.approx(expected, rel=1e-12)


def test_hardware_monitors_and_thermal_zones(sys):
    columns = {"t": "cpu_thermal/temp1", "v": "hwmon3/in0", "f": "cpu_thermal/fan1",
               "p": "cpu_thermal/power1"}  # fmt: skip
    arrival = one(source(tuple(columns), kind="hwmon", columns=columns, root=str(sys)))
    assert arrival.values == [48.3, 0.875, 1200.0, 2.5]
    zone = source(("cpu-thermal", "thermal_zone0"), kind="thermal", root=str(sys))
    assert one(zone).values == [51.25, 51.25]


def test_a_sensor_that_is_unplugged_is_missing_until_it_is_back(sys):
    made = source(("bme280/in_temp", "mpu6050/in_temp"), kind="iio", root=str(sys), period_s=0.001)
    device = sys / "sys/bus/iio/devices"
    (device / "iio:device0").rename(sys / "unplugged")
    made._found.clear()
    arrival = one(made)
    assert math.isnan(arrival.values[0]) and math.isfinite(arrival.values[1])
    assert arrival.problem.startswith("expected the IIO channel 'bme280/in_temp', got iio:device1/")
    (sys / "unplugged").rename(device / "iio:device7")
    assert one(made).values[0] == 21.5
    for text in ("", "nan\n", "garbage\n", "1e999"):
        (device / "iio:device7/in_temp_input").write_text(text)
        arrival = one(made)
        assert math.isnan(arrival.values[0])
        assert arrival.problem.startswith("expected a number from 'bme280/in_temp', got")


def test_the_load_of_a_machine(tmp_path):
    write(tmp_path / "proc", loadavg="0.50 0.25 0.75 2/317 4711\n",
          stat="cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n",
          meminfo="MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 250 kB\nSwapTotal: 0 kB\n"
          "SwapFree: 0 kB\n")  # fmt: skip
    write(tmp_path / "sys/class/thermal", thermal_zone0__temp="40000", thermal_zone1__temp="50500")
    channels = ("load_1min", "load_5min", "load_15min", "processes", "cpu", "memory_percent",
                "swap_percent", "temperature_c")  # fmt: skip
    columns = {"cpu": "cpu_percent"}
    made = source(channels, kind="load", columns=columns, root=str(tmp_path), period_s=0.001)
    write(tmp_path / "proc", stat="cpu  130 0 100 750 120 0 0 0 0 0\n")
    assert one(made).values == pytest.approx([0.5, 0.25, 0.75, 317.0, 30.0, 75.0, 0.0, 50.5])
    (tmp_path / "proc/meminfo").write_text("")
    arrival = one(made)
    assert [math.isnan(x) for x in arrival.values] == [False] * 5 + [True, True, False]
    assert arrival.problem == "expected memory_percent, got 'MemAvailable'"


def test_this_machine_has_a_load():
    arrival = one(source(("load_1min", "cpu_percent", "memory_percent"), kind="load"))
    assert arrival.problem == "" and abs(arrival.time_s - time.time()) < 60
    assert arrival.values[0] >= 0 and all(0 <= x <= 100 for x in arrival.values[1:])


def test_a_measurement_that_there_is_not_is_refused():
    errors = []
    table = {"kind": "load", "columns": {"y": "cpu_percent"}}
    assert make_source(table, WHERE, ("x",), errors) is None
    assert errors[0] == f"{WHERE}: columns: expected channels among x, got 'y'."
    assert 'Add it as in columns = { "x" = "cpu_percent" }' in errors[1]


def test_readings_come_at_their_times_and_missed_ones_are_not_made_up_for(monkeypatch):
    made = source(("load_1min",), kind="load", period_s=10.0)
    begin, now = made._next_s, [0.0]
    monkeypatch.setattr("edgernn.sources.polling.time.monotonic", lambda: begin + now[0])
    counts = []
    for now[0] in (0.0, 0.0, 9.9, 10.0, 35.0, 35.0, 40.0):
        counts.append(len(made.read(1, 0.0).arrivals))
    assert counts == [1, 0, 0, 1, 1, 0, 1]


@pytest.fixture
def modbus():
    """pymodbus's own server; devices 1 and 2."""
    pytest.importorskip("pymodbus")
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    registers = [0] * 200
    registers[0:1] = [0xFF85]  # -123
    registers[1:3] = struct.unpack(">2H", struct.pack(">f", 1.5))
    registers[3:5] = struct.unpack(">2H", struct.pack(">I", 70_000))[::-1]
    registers[150:154] = struct.unpack(">4H", struct.pack(">d", -2.25))
    registers[160:162] = struct.unpack(">2H", struct.pack(">f", math.nan))
    data = SimData(0, values=registers, datatype=DataType.REGISTERS)
    context = [SimDevice(unit, simdata=[data]) for unit in (1, 2)]
    port, started, loop = free_port(), threading.Event(), asyncio.new_event_loop()
    holder = {}

    async def serve():
        holder["server"] = ModbusTcpServer(context, address=("127.0.0.1", port))
        await holder["server"].serve_forever(background=True)
        started.set()

    def run():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    yield port
    asyncio.run_coroutine_threadsafe(holder["server"].shutdown(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_modbus_registers_of_every_type(modbus):
    registers = [
        {"channel": "t", "address": 0, "type": "int16", "scale": 0.1, "offset": 1},
        {"channel": "f", "address": 1, "type": "float32", "table": "input"},
        {"channel": "u", "address": 3, "type": "uint32", "words": "little"},
        {"channel": "d", "address": 150, "type": "float64"},
    ]
    units = [{"key": "north", "unit": 1}, {"key": "south", "unit": 2}]
    made = source(("f", "t", "u", "d"), kind="modbus", host="127.0.0.1", port=modbus,
                  registers=registers, units=units)  # fmt: skip
    arrivals = made.read(10, 1.0).arrivals
    assert [a.key for a in arrivals] == ["north", "south"]
    for arrival in arrivals:
        assert arrival.problem == ""
        assert arrival.values == pytest.approx([1.5, -11.3, 70_000.0, -2.25], rel=1e-12)
    made.close()


def test_modbus_devices_that_do_not_answer_leave_the_others_alone(modbus):
    registers = [
        {"channel": "f", "address": 1, "type": "float32"},
        {"channel": "n", "address": 160, "type": "float32"},
        {"channel": "x", "address": 5000},
    ]
    made = source(("f", "n", "x"), kind="modbus", host="127.0.0.1", port=modbus, timeout_s=0.2,
                  registers=registers, units=[{"key": "a", "unit": 1}])  # fmt: skip
    arrival = one(made)
    assert arrival.values[0] == 1.5 and all(math.isnan(x) for x in arrival.values[1:])
    assert arrival.problem.startswith("expected holding registers 5000 to 5000 of device 1, got")
    made.close()
    made = source(("f",), kind="modbus", host="127.0.0.1", port=free_port(), timeout_s=0.2,
                  registers=registers[:1])  # fmt: skip
    arrival = one(made)
    assert math.isnan(arrival.values[0]) and "got no connection" in arrival.problem
    made.close()


class FakeLine:
    """A Modbus client with a clock: an answer takes 10 ms, a device that is silent 2 s."""

    def __init__(self, monkeypatch):
        self.now_s, self.silent, self.asked, self.connected = 100.0, set(), [], True
        self.code = None
        monkeypatch.setattr("edgernn.sources.polling.time.monotonic", lambda: self.now_s)

    def read_holding_registers(self, _address, *, count, device_id):
        self.asked.append((self.now_s, device_id))
        if device_id in self.silent:
            self.now_s += 2.0
            if self.code is None:
                raise OSError("no answer")
            return SimpleNamespace(isError=lambda: True, exception_code=self.code)
        self.now_s += 0.01
        return SimpleNamespace(isError=lambda: False, registers=[device_id] * count)

    def connect(self):
        self.now_s += 2.0
        return False

    def close(self):
        pass


@pytest.fixture
def line(monkeypatch):
    pytest.importorskip("pymodbus")
    line = FakeLine(monkeypatch)
    units = [{"key": f"u{n}", "unit": n} for n in range(1, 21)]
    registers = [{"channel": c, "address": a} for c, a in (("f", 0), ("g", 50))]
    line.made = source(("f", "g"), kind="modbus", host="127.0.0.1", units=units,
                       registers=registers)  # fmt: skip
    line.made._client = line
    return line


@pytest.mark.parametrize("code", [None, 10, 11])
@pytest.mark.parametrize("silent", [1, 5, 19])
def test_silent_modbus_devices_take_a_tenth_of_the_time_and_delay_no_round_by_two(
    line, silent, code
):
    line.code, line.silent = code, set(range(1, silent + 1))
    line.made.read(1, 1.0)  # each of them is found to be silent once
    begin_s, line.asked = line.now_s, []
    while line.now_s < begin_s + 400:
        arrivals = line.made.read(1, 0.0).arrivals
        if not arrivals:
            line.now_s += 0.05
            continue
        assert [a.key for a in arrivals] == [f"u{n}" for n in range(1, 21)]
        for n, arrival in enumerate(arrivals, 1):
            wanted = [math.nan] * 2 if n in line.silent else [n, n]
            np.testing.assert_array_equal(arrival.values, wanted)
            assert arrival.problem.startswith("expected holding") == (n in line.silent)
    times = [t for t, unit in line.asked if unit == 20][::2]
    assert max(b - a for a, b in itertools.pairwise(times)) < 1 + 2 + 0.5
    waited = [unit for _, unit in line.asked if unit in line.silent]
    assert set(waited) == line.silent
    assert 2 * len(waited) <= 0.1 * 400 + 2


def test_modbus_devices_that_answer_again_are_back_in_one_round(line):
    line.silent = set(range(1, 20))
    line.made.read(1, 1.0)
    line.silent = set()
    line.now_s += 20
    line.made.read(1, 1.0)
    line.now_s += 1
    assert [a.values[0] for a in line.made.read(1, 1.0).arrivals] == list(range(1, 21))


def test_modbus_devices_behind_a_line_that_is_cut_are_asked_one_a_round(line):
    line.silent = set(range(1, 21))
    line.made.read(1, 1.0)
    for _ in range(40):
        line.now_s += 1
        line.asked = []
        line.made.read(1, 1.0)
        assert len(line.asked) == 1
    line.connected = False
    line.now_s, begin_s = line.now_s + 1, line.now_s + 1
    assert all("no " in a.problem for a in line.made.read(1, 1.0).arrivals)
    assert line.now_s - begin_s < 3


def test_a_modbus_device_that_answers_nonsense_is_one_problem_a_period():
    pytest.importorskip("pymodbus")
    answers = [b"", b"\x00" * 300, os.urandom(64), b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port, registers = listener.getsockname()[1], [{"channel": "f", "address": 1}]
    made = source(("f",), kind="modbus", host="127.0.0.1", port=port, timeout_s=0.2,
                  period_s=0.001, registers=registers)  # fmt: skip
    for _ in range(3):
        arrival = one(made)
        assert math.isnan(arrival.values[0])
        assert arrival.problem.startswith("expected holding registers 1 to 1 of device 1, got")
    made.close()
    listener.close()


def test_errors_of_modbus_tables_are_all_told():
    errors = []
    table = {
        "kind": "modbus",
        "registers": [{"channel": "a", "address": -1, "type": "int8", "scal": 1}, {"address": 1}],
        "units": [{"key": "x"}],
    }
    assert make_source(table, WHERE, ("a", "b"), errors) is None
    text = "\n".join(errors)
    for part in (
        "host: expected either host or serial_port",
        "registers, 1: expected channel, address, table, type, words, scale, offset, got 'scal'.",
        "registers, 1: expected type among int16,",
        "registers, 1: expected an address from 0 to 65535, got -1.",
        "registers, 2: expected the name of a channel, got none.",
        "registers: expected one for each of the channels a, b, got a, None.",
        "units, 1: expected { key",
    ):
        assert part in text


def test_modbus_over_a_serial_line():
    """The bytes of RTU on a pseudo-terminal, with its checksum computed here."""
    pytest.importorskip("serial")
    master, slave = os.openpty()
    registers = [{"channel": "t", "address": 7, "type": "int16"}]
    made = source(("t",), kind="modbus", serial_port=os.ttyname(slave), registers=registers,
                  units=[{"key": "a", "unit": 9}])  # fmt: skip

    def crc(data):
        value = 0xFFFF
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ 0xA001 * (value & 1)
        return value.to_bytes(2, "little")

    def answer():
        request = b""
        while len(request) < 8:
            request += os.read(master, 8)
        seen.append(request)
        reply = bytes([9, 3, 2]) + struct.pack(">h", -42)
        os.write(master, reply + crc(reply))

    seen = []
    thread = threading.Thread(target=answer)
    thread.start()
    arrival = one(made)
    thread.join()
    head = bytes([9, 3, 0, 7, 0, 1])
    assert seen == [head + crc(head)]
    assert arrival.values == [-42.0] and arrival.problem == ""
    made.close()
    os.close(master)
    os.close(slave)
