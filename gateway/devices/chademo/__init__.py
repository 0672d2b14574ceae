"""The CHAdeMO side of a bidirectional charger: CAN to the car, Modbus to its converter and its pilot lines."""
