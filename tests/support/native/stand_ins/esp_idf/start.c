#include "esp_timer.h"

void app_main(void);

int64_t esp_timer_get_time(void)
{
    static int64_t now_us;
    return now_us += 500;
}

int main(void)
{
    app_main();
    return 0;
}
