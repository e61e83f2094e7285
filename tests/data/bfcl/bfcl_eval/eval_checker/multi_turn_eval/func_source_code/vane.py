import no_such_weather_package


class Vane:
    def look(self):
        return no_such_weather_package.direction()
