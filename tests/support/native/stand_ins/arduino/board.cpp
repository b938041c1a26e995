/* A board whose Serial is stdout, whose analog pins are stdin, and whose clock a reading moves on
 * by one second, from shortly before it wraps around. A board that waits is switched off with exit
 * status 3. */
#include <Arduino.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

HardwareSerial Serial;

static int counts[6];
static uint32_t now_ms = UINT32_MAX - 2500;

void HardwareSerial::begin(unsigned long) {}
void HardwareSerial::print(char c) { putchar(c); }
void HardwareSerial::print(const char *text) { fputs(text, stdout); }
void HardwareSerial::print(int value) { printf("%d", value); }
void HardwareSerial::print(unsigned long value) { printf("%lu", value); }
void HardwareSerial::println(const char *text) { puts(text); }
void HardwareSerial::println() { putchar('\n'); }

int analogRead(uint8_t pin) { return counts[pin - A0]; }
unsigned long millis() { return now_ms; }
void delay(unsigned long) { exit(3); }

int main()
{
    char line[256];
    setup();
    while (fgets(line, sizeof line, stdin) != nullptr) {
        int i = 0;
        for (char *word = strtok(line, " \n"); word != nullptr; word = strtok(nullptr, " \n")) {
            counts[i++] = atoi(word);
        }
        now_ms += 999;
        loop(); /* too early */
        now_ms += 1;
        loop();
        loop(); /* once is enough */
    }
    return 0;
}
