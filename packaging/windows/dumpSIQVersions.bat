@rem Passes everything on: verbund knows the name.
@"%~dp0verbund.exe" dumpSIQVersions %*
@exit /b %ERRORLEVEL%
