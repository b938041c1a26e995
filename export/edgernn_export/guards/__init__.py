"""What would depart from the float network in silence: refused or said while it can be mended."""
